"""`hydratron report`: the page, the table and the findings of trained jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydratron.cli.parser import FAILED, Parser, complain, path
from hydratron.errors import HydratronError

if TYPE_CHECKING:
    from hydratron.reporting.records import Run

ABOUT = (
    "Page, table and findings of trained jobs: dashboard.html, summary.csv, curves.csv.  Of "
    "experiments/NAME/results/PROFILE, which hydratron reproduce wrote: figure, table and verdict "
    "again, from its curves.csv."
)


def build_parser() -> Parser:
    parser = Parser(prog="hydratron report", description=ABOUT)
    parser.add_argument("folders", nargs="+", type=path, metavar="FOLDER", help="sweeps or jobs")
    live = "write the page anew while jobs run, until all have ended or Ctrl-C"
    parser.add_argument("--live", action="store_true", help=live)
    wandb = "then save the same panels as a new workspace in the runs' W&B project"
    parser.add_argument("--wandb", action="store_true", help=wandb)
    return parser


def run(argv: Sequence[str]) -> int:
    parser = build_parser()
    options = parser.parse_args(argv)
    from hydratron.reproduce.catalog import is_results

    results = [folder for folder in options.folders if is_results(folder)]
    if results:
        if len(results) < len(options.folders) or options.live or options.wandb:
            parser.error(f"{results[0]}: results are reported by themselves, without an option")
        return _again(results)
    if options.wandb:
        from hydratron.workspace import require_library

        require_library()
    from hydratron.reporting import ReportPaths
    from hydratron.reporting.records import read_runs
    from hydratron.reporting.terminal import show
    from hydratron.reporting.writing import write_report

    if options.live:
        runs = _follow(options.folders)
    else:
        runs = read_runs(options.folders)
        write_report(runs, options.folders)
    show(runs, ReportPaths.of(options.folders[0]))
    return _save_workspace(runs, options.folders) if options.wandb else 0


def _again(results: Sequence[Path]) -> int:
    from hydratron.cli.reproduce import show
    from hydratron.reproduce.results import publish_again

    for folder in results:
        show(publish_again(folder), folder)
    return 0


def _follow(folders: Sequence[Path]) -> list[Run]:
    """One line of status on a terminal, on standard error; nothing in a pipe."""
    from rich.console import Console
    from rich.text import Text

    from hydratron.reporting.live import follow

    def tell(text: str) -> None:
        line.update(Text(text, no_wrap=True, overflow="ellipsis"))

    with Console(stderr=True).status("reading") as line:
        return follow(folders, tell)


def _save_workspace(runs: Sequence[Run], folders: Sequence[Path]) -> int:
    """Print its address; what keeps it from W&B is one line, and the files are written already."""
    from rich.console import Console

    from hydratron.reporting.dashboard import title_of
    from hydratron.workspace import save

    try:
        with Console(stderr=True).status("W&B"):
            saved = save(runs, title_of(folders, runs))
    except HydratronError as error:
        complain(str(error))
        return FAILED
    print(saved.url)
    if saved.missing:
        complain(f"W&B: {saved.missing} of {len(runs)} runs are not there")
    return 0
