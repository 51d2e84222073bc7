"""Processes forked from a warm server that has imported the slow libraries once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

from hydratron.launch.environment import loading, short_sockets

# What may reach every process of a job at once, from a terminal or a scheduler.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def start(
    target: Callable[..., None], args: tuple[Any, ...], name: str, preload: Sequence[str]
) -> BaseProcess:
    """Start `target(*args)` in a non-daemon process forked from this process's forkserver.

    `target` is a function of an importable module.  `preload` names the modules that the server
    imports before its first fork; a server that already runs keeps what it has.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with _no_main_module(), _forkserver_as_start_method(), _loading():
        _start_server()
        # After the server, whose folder for sockets it shares.
        process = context.Process(target=_begin, args=(target, *args), name=name)
        process.start()
    return process


def begin(preload: Sequence[str]) -> None:
    """Let the server import `preload` while this process does something else before `start`."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(preload))
    with _no_main_module(), _forkserver_as_start_method(), _loading():
        _start_server()


def _start_server() -> None:
    """Start it deaf, before it imports anything, to what reaches every process of a job at once.

    Ctrl-C would end it with a traceback, SIGTERM before the ranks: with it they would lose the time
    to save.
    """
    resource_tracker.ensure_running()  # Its own start ends with both unblocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with short_sockets():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(target: Callable[..., None], *args: Any) -> None:
    """In the new process: it hears SIGTERM; what the others mean is for its starter to decide."""
    for number in SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    target(*args)


@contextmanager
def _loading() -> Iterator[None]:
    """For the server, which the first process starts: its libraries read the environment once."""
    set_here = loading(os.environ)
    os.environ.update(set_here)
    try:
        yield
    finally:
        for name in set_here:
            del os.environ[name]


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
