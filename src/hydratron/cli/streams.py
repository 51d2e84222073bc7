"""Standard streams that whoever started the command has closed (`>&-`, some cron and daemons)."""

from __future__ import annotations

import os
import sys
from typing import TextIO, cast


def open_closed() -> None:
    """Open those that are closed, to nowhere, for this process and those that it starts.

    Otherwise the next file or socket takes the place of one, and what is printed goes into it.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # The lowest that is free: this one.
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            mode = "w" if descriptor else "r"
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, cast(TextIO, stream))
