"""`hydratron completion`: tab completion for a shell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hydratron.cli.parser import Parser


def run(argv: Sequence[str]) -> int:
    parser = Parser(
        prog="hydratron completion",
        description="Print the completion script of a shell, for its start-up file: "
        'eval "$(hydratron completion bash)", or hydratron completion fish | source.',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish", "query"), metavar="bash|zsh|fish")
    parser.add_argument("line", nargs="?", default="", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    from hydratron.cli import VERBS
    from hydratron.config.completion import complete, script

    asked = args.shell == "query"
    print("\n".join(complete(args.line, list(VERBS))) if asked else script(args.shell).rstrip())
    return 0
