"""Whether a stack waits for other ranks."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest

from hydratron.training.watchdog import place
from tests.helpers.jobs import wait_until


@pytest.mark.parametrize("waits", [True, False])
def test_waiting_for_a_work_that_is_no_python_counts(waits: bool) -> None:
    lock = threading.Lock()
    work = SimpleNamespace(wait=lock.acquire, compute=lock.acquire)

    def rank() -> None:
        if waits:
            work.wait()
        else:
            work.compute()

    with lock:
        thread = threading.Thread(target=rank)
        thread.start()
        ident = thread.ident
        assert ident is not None
        line = rank.__code__.co_firstlineno + (2 if waits else 4)
        assert wait_until(lambda: sys._current_frames()[ident].f_lineno == line, 10.0)
        found, where = place(sys._current_frames()[ident])
    thread.join()
    assert found is waits
    assert where.endswith(" rank")
