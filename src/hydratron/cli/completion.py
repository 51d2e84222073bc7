"""`hydratron completion`: tab completion for a shell."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from hydratron.cli.parser import Parser
from hydratron.errors import HydratronError


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
    from hydratron.config.completion import SCRIPTS, complete, script

    if args.shell == "query":
        words = {
            "completion": lambda typed: sorted(SCRIPTS),
            "convert": of_convert,
            "evaluate": of_evaluate,
            "generate": of_generate,
            "reproduce": of_reproduce,
        }
        print("\n".join(complete(args.line, _flags(), words)))
    else:
        print(script(args.shell).rstrip())
    return 0


def _flags() -> dict[str, list[str]]:
    """The verbs and what each takes that starts with --."""
    from hydratron.cli import VERBS

    modules = {verb: importlib.import_module(f"hydratron.cli.{verb}") for verb in VERBS}
    return {verb: sorted(module.build_parser().flags) for verb, module in modules.items()}


def of_convert(typed: Sequence[str]) -> list[str]:
    """The formats after --to; the shell's own completion of files elsewhere."""
    from hydratron.cli.convert import FORMATS

    return [*FORMATS] if typed[-1:] == ["--to"] else []


def of_evaluate(typed: Sequence[str]) -> list[str]:
    """The tasks after --task, degrees after --parallel; else files, which the shell knows."""
    from hydratron.cli.evaluate import TASKS
    from hydratron.config.degrees import READING

    return [*{"--task": (*TASKS,), "--parallel": READING}.get(typed[-1] if typed else "", ())]


def of_generate(typed: Sequence[str]) -> list[str]:
    """The degrees of one replica after --parallel; else files, which the shell knows."""
    from hydratron.config.degrees import READING

    return (
        [degree for degree in READING if "dp" not in degree] if typed[-1:] == ["--parallel"] else []
    )


def of_reproduce(typed: Sequence[str]) -> list[str]:
    """The artifacts of the checkout, or after --profile the scales of the one that was typed."""
    from hydratron.reproduce.catalog import artifacts, experiments_dir, find

    try:
        known = artifacts(experiments_dir())
        if typed[-1:] != ["--profile"]:
            return [artifact.name for artifact in known]
        named = next((word for word in typed if not word.startswith("-")), None)
        chosen = known if named is None else [find(named, known)]
    except HydratronError:
        return []
    return list(dict.fromkeys(name for artifact in chosen for name in artifact.profiles))
