"""`hydratron report`: the page, the table and the findings of trained jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydratron.cli.parser import Parser


def build_parser() -> Parser:
    about = "Page, table and findings of trained jobs: dashboard.html and summary.csv."
    parser = Parser(prog="hydratron report", description=about)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweeps or jobs")
    return parser


def run(argv: Sequence[str]) -> int:
    folders = build_parser().parse_args(argv).folders
    from hydratron.reporting import print_summary, report

    report(folders)
    print_summary(folders)
    return 0
