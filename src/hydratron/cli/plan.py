"""`hydratron plan`: what a job would send, compute and hold, without running it."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.cli.hydra_flags import hydra_parser, parse, shown
from hydratron.cli.jobs import check_place, claim, complain_of, made
from hydratron.cli.parser import Parser
from hydratron.job import SIGNALLED, write_json, write_text

if TYPE_CHECKING:
    from hydratron.config.schema import Config
    from hydratron.job import JobFolder

FILE = "plan.json"
VERB = "plan"


def build_parser() -> Parser:
    return hydra_parser(VERB)


def run(argv: Sequence[str]) -> int:
    args = parse(build_parser(), argv)
    if args.help:
        from hydratron.config.help import plan_help

        print(plan_help(), end="")
        return 0
    from hydratron.config.canaries import refuse as refuse_secrets
    from hydratron.config.plan import plan
    from hydratron.config.planning import plan_overrides, refuse_backends
    from hydratron.config.task import run_planned
    from hydratron.config.texts import as_typed
    from hydratron.launch.settling import settle

    overrides = plan_overrides(as_typed(args.overrides))
    refuse_secrets(overrides, [], os.environ)
    planned = plan(overrides, args.multirun)
    refuse_backends(job.config.parallel.backend for job in planned.jobs)
    refuse_secrets([], (job.config for job in planned.jobs), os.environ)
    if (code := shown(args, overrides, planned)) is not None:
        return code
    planned, _ = settle(planned, VERB)
    check_place(planned)
    folder = claim(planned)
    runner = Runner()
    code = run_planned(runner, planned, overrides, folder)
    if code > SIGNALLED:
        return code
    if planned.multirun:
        from rich.console import Console

        from hydratron.cli.comparison import compare

        compare(folder, made(planned, folder), Console())
    return max(code, complain_of(planned, folder, runner.results))


@dataclasses.dataclass(frozen=True)
class Runner:
    """Plans the jobs of one command; `results` are those of this process, by folder name."""

    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def __call__(
        self, config: Config, folder: Path, overrides: list[str], number: int
    ) -> dict[str, Any]:
        from hydratron.launch.in_process import run_in_process

        work = functools.partial(plan_into, config)
        result = run_in_process(config, folder, overrides, VERB, work)
        self.results[folder.name] = result
        return result


def plan_into(config: Config, job: JobFolder) -> dict[str, Any]:
    """Plan one job, show it, and write plan.json and its row; returns what joins the result."""
    from rich.console import Console

    from hydratron.config.clusters import clusters
    from hydratron.planner.fitting import fits, smallest_change
    from hydratron.planner.plan import plan_job
    from hydratron.planner.record_file import content
    from hydratron.planner.row import row
    from hydratron.planner.tables import show

    file = job.path / FILE
    # Of an attempt that was cut off.
    file.unlink(missing_ok=True)
    job.metrics.unlink(missing_ok=True)
    began = time.perf_counter()
    # A large pipeline takes ten seconds and more; a file or a pipe sees nothing of this.
    with Console(stderr=True).status(f"planning {job.path.name}"):
        found = plan_job(config)
        peak, reserve = found.peak_bytes, config.plan.reserve_gib
        known = {c.gpu: c.memory_gib for c in (*clusters(), config.cluster)}
        fitting = {gpu: fits(peak, memory, reserve) for gpu, memory in known.items()}
        wanted = config.plan.suggest and not fitting[config.cluster.gpu]
        change = smallest_change(found) if wanted else None
    show(found, fitting, change, Console())
    write_json(file, content(found, fitting, change))
    write_text(job.metrics, json.dumps(row(found)) + "\n")
    print(f"planned in {time.perf_counter() - began:.1f} s: {file}\n", flush=True)
    return {"parameters": found.step.model_parameters}
