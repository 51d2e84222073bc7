"""`hydratron train`: one job, or a sweep of them, and the report at its end."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.cli.hydra_flags import hydra_parser, parse, shown
from hydratron.cli.jobs import check_place, claim, complain_of
from hydratron.cli.labelled import counted, examples, sized
from hydratron.cli.labelled import tell as tell_examples
from hydratron.cli.parser import FAILED, INTERRUPTED, PREEMPTED, REQUEUE, Parser, complain, told
from hydratron.cli.streams import read_or_not
from hydratron.errors import DataError, HydratronError, Problem
from hydratron.job import SIGNALLED

if TYPE_CHECKING:
    from hydratron.config.command import Command
    from hydratron.config.schema import Config
    from hydratron.data.corpus import Corpus
    from hydratron.interop.initial import Initial
    from hydratron.launch.beside import Request


def build_parser() -> Parser:
    parser = hydra_parser("train")
    parser.add_argument("--prepare-only", action="store_true")
    return parser


def run(argv: Sequence[str]) -> int:
    args = parse(build_parser(), argv)
    if args.help:
        from hydratron.config.help import train_help

        print(train_help(), end="")
        return 0
    from hydratron.config.canaries import refuse as refuse_secrets
    from hydratron.config.plan import plan
    from hydratron.config.planning import refuse_sections
    from hydratron.config.texts import as_typed

    args.overrides = as_typed(args.overrides)
    refuse_sections(args.overrides)
    refuse_secrets(args.overrides, [], os.environ)
    planned = plan(args.overrides, args.multirun)
    refuse_secrets([], (job.config for job in planned.jobs), os.environ)
    if (code := shown(args, args.overrides, planned)) is not None:
        return code
    from hydratron.launch.accelerators import check as check_accelerators
    from hydratron.launch.compiler import check as check_compiler
    from hydratron.launch.room import check as check_room
    from hydratron.launch.settling import settle

    planned = counted(planned)
    _say_what_stays(planned)
    work: tuple[float, ...] = ()
    if not args.prepare_only:
        if planned.here:
            check_accelerators(job.config for job in planned.jobs)
            check_room(job.config for job in planned.jobs)
            check_compiler(job.config for job in planned.jobs)
        planned, results = settle(planned, "train")
        check_place(planned)
        work = _work(planned, results)
        if planned.here:
            left = [j.config for j, r in zip(planned.jobs, results, strict=True) if r is None]
            _begin_imports(left, args.overrides)
    prepared = _prepare([job.config for job in planned.jobs])
    starts = _starts([job.config for job in planned.jobs], prepared)
    if args.prepare_only:
        print("\n".join(dict.fromkeys(prepared.values())))
        return 0
    with read_or_not():
        return _run(args.overrides, planned, Runner(time.time(), work, prepared, starts))


def _begin_imports(configs: Sequence[Config], overrides: Sequence[str]) -> None:
    """What ranks of this process import, beside the preparation of their data."""
    from hydratron.launch.forkserver import warm_up

    elsewhere = any("hydra/launcher" in line for line in overrides)  # Jobs of other processes.
    if configs and not elsewhere and configs[0].launch.kind == "local":
        warm_up(configs[0], several=len(configs) > 1)


def _run(overrides: Sequence[str], planned: Command, runner: Runner) -> int:
    """Run the jobs and report on them; returns the command's exit code."""
    folder = claim(planned)
    try:
        code = _launch(overrides, planned, runner, folder)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == REQUEUE:
        code = PREEMPTED
        complain(_requeued(planned))
    said = "interrupted"
    if code < SIGNALLED:
        code = max(code, _finish(planned, folder, runner.results))
        said = "preempted"
    if code > SIGNALLED:
        place = _typed(planned.place(folder))
        complain(f"{said}; the same command with {place} goes on where it stopped")
    return code


def _launch(overrides: Sequence[str], planned: Command, runner: Runner, folder: Path) -> int:
    """Let the launcher run the jobs; returns Hydra's exit code, or that of a signal."""
    from hydratron.config.task import run_planned
    from hydratron.launch import beside
    from hydratron.launch.supervision import sigterm_raises

    if not planned.beside:
        with sigterm_raises():
            return run_planned(runner, planned, overrides, folder)
    with beside.heard() as request:
        runner = dataclasses.replace(runner, request=request)
        return run_planned(runner, planned, overrides, folder)


def _requeued(planned: Command) -> str:
    """Queue the job of the cluster again, where that goes on; returns what to say."""
    from hydratron.launch.requeue import requeue

    if planned.fresh:
        # Queued again, the same command would begin anew in another folder.
        return "SIGUSR1: saved; not requeued: the folder is named by the time, so name one"
    if planned.jobs[0].config.launch.node_rank:
        return "SIGUSR1: saved; the first host requeues"
    return requeue(os.environ)


def _say_what_stays(planned: Command) -> None:
    """What a resumed job does not take over of its parent, once."""
    from hydratron.config.resume import left_behind

    if left := left_behind(job.config for job in planned.jobs):
        complain(f"resume: the parent's {', '.join(left)} stay behind; name what is to come along")


def _typed(override: str) -> str:
    """As a shell takes it: without Hydra's quotes where Hydra needs none, else quoted once more."""
    bare = override.replace("'", "")
    return bare if re.fullmatch(r"[a-z.]+=[A-Za-z0-9_./-]+", bare) else shlex.quote(override)


def _prepare(configs: Sequence[Config]) -> dict[str, str]:
    """Tokens for every job, built once for each data and tokenizer: key of the pair -> folder.

    The order of each job's samples is built as well, before many ranks ask for it at once.  Raises
    DataError with all problems of all jobs.
    """
    from hydratron.data import requirements
    from hydratron.data.corpus import open_corpus
    from hydratron.data.prepare import prepare_job
    from hydratron.data.samples.assemble import training_samples, validation_samples

    folders: dict[str, str] = {}
    opened: dict[str, Corpus] = {}
    problems: dict[str, Problem] = {}
    told: set[str] = set()

    def tell(note: str) -> None:
        """Once, however many tokenizers the jobs have."""
        if note not in told:
            told.add(note)
            complain(note)

    for config in configs:
        key = _data_key(config)
        if key not in folders:
            given = config.data.prepared
            folders[key] = given or str(prepare_job(config, progress=True, tell=tell))
            opened[key] = open_corpus(folders[key])
        corpus = opened[key]
        found = requirements.problems(corpus, config)
        problems.update((str(problem), problem) for problem in found)
        tell_examples(config, folders[key], told)
        if not found and config.resume is None:
            order = config.reader, corpus, config.model.seq_length
            training_samples(*order, [config.samples], config.seed)
            validation_samples(*order, config.trainer.val_samples)
    if problems:
        raise DataError(list(problems.values()))
    return folders


def _starts(configs: Sequence[Config], prepared: Mapping[str, str]) -> dict[str, Initial]:
    """The weights that jobs start from, checked and said once: key of the job's model -> them.

    Raises HydratronError for weights that do not fit.
    """
    asked = [config for config in configs if config.init_from is not None]
    if not asked:
        return {}
    from hydratron.data.corpus import open_corpus
    from hydratron.interop.initial import initial

    found: dict[str, Initial] = {}
    said: set[str] = set()
    for config in asked:
        key = _start_key(config)
        if key not in found:
            corpus = open_corpus(prepared[_data_key(config)])
            found[key] = initial(config, corpus)
            if found[key].line not in said:
                said.add(found[key].line)
                complain(found[key].line)
    return found


def _start_key(config: Config) -> str:
    return repr((config.init_from, config.model, config.task, _data_key(config)))


def _data_key(config: Config) -> str:
    return repr((config.data, config.tokenizer, config.sentences, config.learning.examples))


def _work(planned: Command, results: Sequence[dict[str, Any] | None]) -> tuple[float, ...]:
    """Relative cost of each job, 0 for one that an earlier command has finished."""
    from hydratron.config.cost import training_flops

    jobs = zip(planned.jobs, results, strict=True)
    return tuple(0.0 if result else training_flops(job.config) for job, result in jobs)


@dataclasses.dataclass(frozen=True)
class Runner:
    """Runs the jobs of one command; `results` are those that ran in this process, by name."""

    started: float
    work: tuple[float, ...]
    prepared: dict[str, str]
    starts: dict[str, Initial] = dataclasses.field(default_factory=dict)
    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    request: Request | None = None
    """Of a command whose jobs run beside each other."""

    def __call__(
        self, config: Config, folder: Path, overrides: list[str], number: int
    ) -> dict[str, Any]:
        if self.request is None:
            return self._run(config, folder, overrides, number)
        return self.request.followed(lambda: self._run(config, folder, overrides, number))

    def _run(
        self, config: Config, folder: Path, overrides: list[str], number: int
    ) -> dict[str, Any]:
        from hydratron.launch.progress import Position
        from hydratron.launch.run import run_job

        config = sized(config)
        position = Position(number + 1, len(self.work), self.started, self.work)
        if number >= len(self.work):  # A sweeper that decides as it goes.
            position = Position(1, 1, time.time(), (1.0,))
        origin: Mapping[str, Any] = {}
        if config.init_from is not None:
            start = self.starts.get(_start_key(config))
            if start is None:  # A sweeper that varies the model, too.
                start = _starts([config], _prepare([config]))[_start_key(config)]
            config = dataclasses.replace(config, init_checkpoint=str(start.checkpoint))
            origin = start.record(folder.resolve())
        if (tokens := self.prepared.get(_data_key(config))) is not None:
            data = dataclasses.replace(config.data, prepared=tokens)
            config = dataclasses.replace(config, data=data)
            origin = {**origin, **examples(config, tokens)}
        with read_or_not():  # It may be a process of joblib's.
            result = run_job(config, folder, overrides, position, origin=origin)
        self.results[folder.name] = result
        return result


def _finish(planned: Command, folder: Path, results: dict[str, dict[str, Any]]) -> int:
    """Write and print the report, then one line for every job that did not complete."""
    from hydratron.reporting import report

    code = 0
    if planned.jobs[0].config.launch.node_rank == 0:  # The first host reports.
        try:
            report([folder], summary=True)
        except HydratronError as error:
            complain(*str(error).splitlines())
        except OSError as error:
            complain(told(error))
            code = FAILED
    return max(code, complain_of(planned, folder, results))
