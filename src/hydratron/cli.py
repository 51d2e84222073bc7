"""The command line, `hydratron VERB ...`; a verb imports what is heavy when it needs it."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydratron.errors import DataError, HydratronError, JobError, Problem
from hydratron.job import JobFolder, read_json

if TYPE_CHECKING:
    from hydratron.config.plan import Plan
    from hydratron.config.schema import Config

HELP = """\
usage: hydratron [--help] [--version] VERB ...

Rerun the Megatron-LM paper: tensor-parallel GPT-2 on a laptop, a GPU or a cluster.

  train        train one job, or a sweep of them     hydratron train experiment=demo
  report       page and table of trained jobs        hydratron report outputs/demo
  completion   tab completion for your shell         eval "$(hydratron completion bash)"

`hydratron VERB --help` says more.
"""
USAGE_ERROR = 2
SIGNALLED = 128  # plus the number of the signal that ended it
INTERRUPTED = SIGNALLED + 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"hydratron: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 1 for failed jobs, 2 for a wrong command."""
    verb, *rest = [*(sys.argv[1:] if argv is None else argv)] or [""]
    if verb in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if verb == "--version":
        print(f"hydratron {_version()}")
        return 0
    if verb not in VERBS:
        return _unknown_verb(verb)
    try:
        code = VERBS[verb](rest)
        sys.stdout.flush()
        return code
    except HydratronError as error:
        _complain(*str(error).splitlines())
        return USAGE_ERROR
    except BrokenPipeError:
        # The reader, `head` for one, has enough; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED


def _unknown_verb(verb: str) -> int:
    if not verb:
        print(HELP, end="", file=sys.stderr)
        return USAGE_ERROR
    nearest = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.0)[0]
    _complain(f"{verb}: no such verb; nearest: {nearest}; verbs: {', '.join(VERBS)}")
    return USAGE_ERROR


def _version() -> str:
    from importlib.metadata import distributions

    found = [package.version for package in distributions(name="hydratron")]
    return found[0] if found else "(not installed)"


def _complain(*lines: str) -> None:
    for line in lines:
        print(f"hydratron: {line}", file=sys.stderr)


def _train(argv: Sequence[str]) -> int:
    parser = _Parser(prog="hydratron train", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args(argv)
    if args.help:
        from hydratron.config.help import train_help

        print(train_help(), end="")
        return 0
    from hydratron.config.plan import plan

    planned = plan(args.overrides, args.multirun)
    if args.cfg:
        return _show(planned, args.cfg, args.overrides)
    from hydratron.config.task import Task, run

    prepared = _prepare([job.config for job in planned.jobs])
    work = _work(planned)
    folder = _claim(planned)
    runner = Runner(time.time(), work, prepared)
    arguments = planned.arguments(args.overrides, folder)
    try:
        code = run(Task(runner), arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code > SIGNALLED:
        _complain(f"interrupted; the same command with {arguments[-1]} goes on where it stopped")
        return code
    return max(code, _finish(planned, folder, runner.results))


def _show(planned: Plan, kind: str, overrides: Sequence[str]) -> int:
    """Print the configuration of every job as YAML, or Hydra's own view of the command."""
    if kind != "job":
        from hydratron.config.task import show

        return show(kind, overrides)
    from hydratron.config.load import to_yaml

    for job in planned.jobs:
        print(f"--- # {job.name}\n{to_yaml(job.config)}", end="")
    return 0


def _prepare(configs: Sequence[Config]) -> dict[str, str]:
    """Tokens for every job, built once for each data and tokenizer: key of the pair -> folder.

    Raises DataError with all problems of all jobs.
    """
    from hydratron.data.prepare import check, open_prepared, prepare

    folders: dict[str, str] = {}
    problems: dict[str, Problem] = {}
    for config in configs:
        key = _data_key(config)
        if key not in folders:
            given = config.data.prepared
            folders[key] = given or str(prepare(config.data, config.tokenizer, progress=True))
        found = check(open_prepared(Path(folders[key])), config)
        problems.update((str(problem), problem) for problem in found)
    if problems:
        raise DataError(list(problems.values()))
    return folders


def _data_key(config: Config) -> str:
    return repr((config.data, config.tokenizer))


def _work(planned: Plan) -> tuple[float, ...]:
    """Relative cost of each job, 0 for one that an earlier command has finished.

    Raises JobError when a folder holds another job.
    """
    from hydratron.config.cost import training_flops
    from hydratron.launch.run import finished

    if planned.fresh:
        return tuple(training_flops(job.config) for job in planned.jobs)
    work, taken = [], []
    for job, folder in zip(planned.jobs, planned.job_folders(planned.folder), strict=True):
        try:
            work.append(0.0 if finished(job.config, folder) else training_flops(job.config))
        except JobError as error:
            taken.append(str(error))
    if taken:
        raise JobError("\n".join(taken))
    return tuple(work)


def _claim(planned: Plan) -> Path:
    """The sweep's folder; one that is named by the time is made here, for this command alone."""
    folder, attempt = planned.folder, 1
    while planned.fresh:
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            attempt += 1
            folder = planned.folder.with_name(f"{planned.folder.name}_{attempt}")
        except OSError as error:
            raise HydratronError(f"{folder}: {error.strerror}") from None
    return folder


@dataclasses.dataclass(frozen=True)
class Runner:
    """Runs the jobs of one command; `results` are those that ran in this process, by name."""

    started: float
    work: tuple[float, ...]
    prepared: dict[str, str]
    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def __call__(
        self, config: Config, folder: Path, overrides: list[str], number: int
    ) -> dict[str, Any]:
        from hydratron.launch.progress import Position
        from hydratron.launch.run import run_job

        position = Position(number + 1, len(self.work), self.started, self.work)
        if number >= len(self.work):  # A sweeper that decides as it goes.
            position = Position(1, 1, time.time(), (1.0,))
        if (tokens := self.prepared.get(_data_key(config))) is not None:
            data = dataclasses.replace(config.data, prepared=tokens)
            config = dataclasses.replace(config, data=data)
        result = run_job(config, folder, overrides, position)
        self.results[folder.name] = result
        return result


def _finish(planned: Plan, folder: Path, results: dict[str, dict[str, Any]]) -> int:
    """Write and print the report, then one line for every job that did not complete."""
    if planned.jobs[0].config.launch.node_rank > 0:
        return 0  # The first host reports.
    from hydratron.reporting import print_summary, report

    known = planned.job_folders(folder)
    jobs = sorted(p.parent for p in folder.glob("*/result.json")) if planned.open_ended else known
    try:
        report([folder])
        print_summary(folder)
    except HydratronError as error:
        _complain(*str(error).splitlines())
    failed = 0
    for job in map(JobFolder, jobs):
        result = results.get(job.name) or read_json(job.result) or {"status": "unfinished"}
        if result["status"] != "completed":
            failed = 1
            _complain(f"job {job.name} {result['status']}{_cause(job, result)}")
    return failed


def _cause(job: JobFolder, result: dict[str, Any]) -> str:
    failure = read_json(job.failure)
    said = failure or result
    if "kind" not in said:
        return ""
    where = "" if said.get("rank") is None else f"rank {said['rank']}: "
    message = " ".join(str(said.get("message", "")).split())
    traceback = f" (traceback in {job.failure})" if failure else ""
    return f": {where}{said['kind']}: {message}{traceback}"


def _report(argv: Sequence[str]) -> int:
    about = "Page, table and findings of trained jobs: dashboard.html and summary.csv."
    parser = _Parser(prog="hydratron report", description=about)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweeps or jobs")
    folders = parser.parse_args(argv).folders
    from hydratron.reporting import print_summary, report

    report(folders)
    print_summary(folders)
    return 0


def _completion(argv: Sequence[str]) -> int:
    parser = _Parser(
        prog="hydratron completion",
        description="Print the completion script of a shell, for its start-up file: "
        'eval "$(hydratron completion bash)", or hydratron completion fish | source.',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish", "query"), metavar="bash|zsh|fish")
    parser.add_argument("line", nargs="?", default="", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    from hydratron.config.completion import complete, script

    asked = args.shell == "query"
    print("\n".join(complete(args.line, list(VERBS))) if asked else script(args.shell).rstrip())
    return 0


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": _train,
    "report": _report,
    "completion": _completion,
}

if __name__ == "__main__":
    sys.exit(main())
