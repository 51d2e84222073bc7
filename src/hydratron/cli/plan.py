"""`hydratron plan`: what a job would send, compute and hold, without running it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.cli.parser import Parser, complain
from hydratron.job import JobFolder, read_json, write_json

if TYPE_CHECKING:
    from hydratron.config.schema import Config

# What the paper trained with, where the command does not say: its batch and no data.
DEFAULTS = {
    "trainer": "paper",
    "tokenizer": "wordpiece",
    "launch": "torchrun",
    "logger": "none",
}
FILE = "plan.json"


def build_parser() -> Parser:
    parser = Parser(prog="hydratron plan", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("overrides", nargs="*")
    return parser


def run(argv: Sequence[str]) -> int:
    args = build_parser().parse_intermixed_args(argv)
    if args.help:
        from hydratron.config.help import plan_help

        print(plan_help(), end="")
        return 0
    from hydratron.config.plan import plan
    from hydratron.config.task import Task
    from hydratron.config.task import run as run_task

    overrides = [_spelled_out(override) for override in args.overrides]
    typed = {override.partition("=")[0].lstrip("+") for override in overrides}
    chosen = [f"{group}={name}" for group, name in DEFAULTS.items() if group not in typed]
    planned = plan([*chosen, *overrides], args.multirun)
    failed = run_task(Task(plan_into), planned.arguments([*chosen, *overrides], planned.folder))
    for folder in planned.job_folders(planned.folder):
        failure = read_json(JobFolder(folder).failure)
        if failure is not None:
            failed = 1
            complain(f"plan {folder.name} failed: {failure['kind']}: {failure['message']}")
    return failed


def _spelled_out(override: str) -> str:
    """`full=true` is short for `plan.full=true`."""
    return f"plan.{override}" if override.startswith("full=") else override


def plan_into(config: Config, folder: Path, overrides: list[str], number: int) -> dict[str, Any]:
    """Plan one job, show it, and write plan.json into its folder; returns what that holds."""
    from rich.console import Console

    from hydratron.config.clusters import clusters
    from hydratron.config.load import dump
    from hydratron.planner.fitting import fits, smallest_change
    from hydratron.planner.plan import plan_job
    from hydratron.planner.record_file import content
    from hydratron.planner.tables import show

    began = time.perf_counter()
    found = plan_job(config)
    peak, reserve = found.peak_bytes, config.plan.reserve_gib
    known = {c.gpu: c.memory_gib for c in (*clusters(), config.cluster)}
    fitting = {gpu: fits(peak, memory, reserve) for gpu, memory in known.items()}
    change = None if fitting[config.cluster.gpu] else smallest_change(found)
    written = content(found, fitting, change)
    job = JobFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dump(found.config, job.config)
    write_json(folder / FILE, written)
    show(found, fitting, change, Console())
    print(f"planned in {time.perf_counter() - began:.1f} s: {folder / FILE}\n", flush=True)
    return written
