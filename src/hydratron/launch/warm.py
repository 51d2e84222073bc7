"""Processes forked from a warm server that has imported the slow libraries once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

SPIN, SPIN_ROUNDS = "GOMP_SPINCOUNT", "1000"


def start(
    target: Callable[..., None], args: tuple[Any, ...], name: str, preload: Sequence[str]
) -> BaseProcess:
    """Start `target(*args)` in a non-daemon process forked from this process's forkserver.

    `target` is a function of an importable module.  `preload` names the modules that the server
    imports before its first fork; a server that already runs keeps what it has.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    process = context.Process(target=target, args=args, name=name)
    with _no_main_module(), _forkserver_as_start_method(), _short_spin(), _interrupts_wait():
        process.start()
    return process


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C reaches this process afterwards, and never the server, which is still importing."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _short_spin() -> Iterator[None]:
    """For the server, which is started by the first process: OpenMP threads wait without spinning.

    A thread that spins for its peer takes the core that the peer needs: with another process on two
    cores a step took six times as long.  OpenMP reads the variable when it is loaded.
    """
    unset = SPIN not in os.environ
    os.environ.setdefault(SPIN, SPIN_ROUNDS)
    try:
        yield
    finally:
        if unset:
            del os.environ[SPIN]


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Hide `__main__`: a started process would run the caller's script a second time."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _forkserver_as_start_method() -> Iterator[None]:
    """The new process is told the start method; it would not know a joblib worker's `loky`."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)
