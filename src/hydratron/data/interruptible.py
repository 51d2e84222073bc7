"""Long calls of a library that hears no signal, ended by Ctrl-C all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def interruptible(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises.

    It is done in a thread, so that an interrupt is raised here at once.  What the thread still does
    then is in vain, and ends with the process at the latest.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(1.0)
    if errors:
        raise errors[0]
    return results[0]
