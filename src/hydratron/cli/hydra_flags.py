"""Hydra's own flags: those that work here as there, and a line for each that has another way."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.cli.parser import Parser
from hydratron.errors import HydratronError

if TYPE_CHECKING:
    from hydratron.config.command import Command

INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
INSTEAD = {
    ("--config-name", "-cn"): "a set of choices of your own is DIR/experiment/NAME.yaml, "
    "chosen by --config-dir DIR experiment=NAME",
    ("--config-path", "-cp"): "hydratron's own configs stay; yours are added by --config-dir DIR",
    ("--run", "-r"): "one job of an experiment that sweeps is hydra.mode=RUN",
    ("--experimental-rerun",): "a job's folder is enough: hydra.run.dir=FOLDER goes on in it",
    ("--shell-completion", "-sc"): 'eval "$(hydratron completion bash)"',
    ("--hydra-help",): "the flags of Hydra that work here are in --help",
}


def hydra_parser(verb: str) -> Parser:
    """The flags that verbs share which compose with Hydra, and the overrides."""
    parser = Parser(prog=f"hydratron {verb}", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-c", "--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("-p", "--package", metavar="SECTION")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("-i", "--info", nargs="?", const="all", choices=INFO)
    parser.add_argument("-cd", "--config-dir", metavar="DIR")
    for names in INSTEAD:
        parser.add_refused(*names, nargs="?", action=_Refused)
    parser.add_argument("overrides", nargs="*")
    return parser


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with the folder of --config-dir among the overrides.

    Raises HydratronError for a folder that is not there.
    """
    args = parser.parse_intermixed_args(argv)
    if args.cfg and args.info:
        parser.error("--cfg and --info exclude each other")
    for flag in ("resolve", "package"):
        if getattr(args, flag) and not args.cfg:
            parser.error(f"--{flag}: says how --cfg prints; add --cfg job|hydra|all")
    if args.config_dir is not None:
        from hydratron.config.overrides import with_search_folder

        if not Path(args.config_dir).is_dir():
            raise HydratronError(f"--config-dir={args.config_dir}: no such folder")
        args.overrides = with_search_folder(args.overrides, Path(args.config_dir))
    return args


def shown(args: argparse.Namespace, overrides: Sequence[str], planned: Command) -> int | None:
    """Print what --cfg or --info asks for; the exit code, or None where neither was given.

    A job is printed as it would be written into its folder, which is resolved.
    """
    if args.cfg == "job":
        from hydratron.config.load import to_yaml

        for job in planned.jobs:
            print(f"--- # {job.name}\n{to_yaml(job.config, args.package)}", end="")
        return 0
    if args.cfg:
        flags = ["--cfg", args.cfg, *["--resolve"] * args.resolve]
        flags += ["--package", args.package] if args.package else []
    elif args.info:
        flags = ["--info", args.info]
    else:
        return None
    from hydratron.config.task import show

    return show(flags, planned.first(overrides))


class _Refused(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        names = next(names for names in INSTEAD if option in names)
        parser.error(f"{option}: is not taken; {INSTEAD[names]}")
