"""What all verbs share: how a wrong command is answered, and the exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from hydratron.errors import inert
from hydratron.job import SIGNALLED

FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = SIGNALLED + 2
PREEMPTED = SIGNALLED + 15
REQUEUE = SIGNALLED + signal.SIGUSR1


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; `flags` are its long options, for tab completion."""

    def __init__(self, **options: Any) -> None:
        self.flags: list[str] = []
        super().__init__(**options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        action = super().add_argument(*names, **options)
        self.flags += [name for name in action.option_strings if name.startswith("--")]
        return action

    def add_refused(self, *names: str, **options: Any) -> None:
        """A flag that is known only to be answered: completion does not offer it."""
        super().add_argument(*names, help=argparse.SUPPRESS, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"hydratron: {message} (see {self.prog} --help)\n")


def path(text: str) -> Path:
    """A path of the command line; the shell leaves the ~ of `--output=~/tokens` alone."""
    return Path(os.path.expanduser(text))


def positive(text: str) -> int:
    """A whole number above 0; argparse says so otherwise."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return int(text)


def told(error: OSError) -> str:
    """`FILE: what is wrong with it`."""
    file = "" if error.filename is None else f"{error.filename}: "
    return f"{file}{error.strerror or error}"


def complain(*lines: str) -> None:
    """Each line to standard error, with the name of the program."""
    for line in lines:
        print(f"hydratron: {inert(line)}", file=sys.stderr)
