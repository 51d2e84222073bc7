"""What all verbs share: how a wrong command is answered, and the exit codes."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

USAGE_ERROR = 2
SIGNALLED = 128  # plus the number of the signal that ended it
INTERRUPTED = SIGNALLED + 2


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"hydratron: {message} (see {self.prog} --help)\n")


def complain(*lines: str) -> None:
    """Each line to standard error, with the name of the program."""
    for line in lines:
        print(f"hydratron: {line}", file=sys.stderr)
