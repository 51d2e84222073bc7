"""`hydratron completion`: tab completion for a shell."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from hydratron.cli.parser import Parser


def build_parser() -> Parser:
    parser = Parser(
        prog="hydratron completion",
        description="Print the completion script of a shell, for its start-up file: "
        'eval "$(hydratron completion bash)", or hydratron completion fish | source.',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish", "query"), metavar="bash|zsh|fish")
    parser.add_argument("line", nargs="?", default="", help=argparse.SUPPRESS)
    return parser


def run(argv: Sequence[str]) -> int:
    args = build_parser().parse_args(argv)
    from hydratron.config.completion import complete, script

    if args.shell == "query":
        print("\n".join(complete(args.line, _flags())))
    else:
        print(script(args.shell).rstrip())
    return 0


def _flags() -> dict[str, list[str]]:
    """The verbs and what each takes that starts with --."""
    from hydratron.cli import VERBS

    modules = {verb: importlib.import_module(f"hydratron.cli.{verb}") for verb in VERBS}
    return {verb: sorted(module.build_parser().flags) for verb, module in modules.items()}
