"""`hydratron report`: the page, the table and the findings of trained jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydratron.cli.parser import Parser


def build_parser() -> Parser:
    about = "Page, table and findings of trained jobs: dashboard.html, summary.csv, curves.csv."
    parser = Parser(prog="hydratron report", description=about)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweeps or jobs")
    live = "write the page anew while jobs run, until all have ended or Ctrl-C"
    parser.add_argument("--live", action="store_true", help=live)
    return parser


def run(argv: Sequence[str]) -> int:
    options = build_parser().parse_args(argv)
    from hydratron.reporting import print_summary, report

    if options.live:
        _follow(options.folders)
    else:
        report(options.folders)
    print_summary(options.folders)
    return 0


def _follow(folders: Sequence[Path]) -> None:
    """One line of status on a terminal, on standard error; nothing in a pipe."""
    from rich.console import Console
    from rich.text import Text

    from hydratron.reporting.live import follow

    with Console(stderr=True).status("reading") as line:
        follow(folders, lambda text: line.update(Text(text, no_wrap=True, overflow="ellipsis")))
