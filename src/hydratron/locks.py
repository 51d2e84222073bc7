"""Locks between processes: flock, or the existence of a file where the file system has no flock."""

from __future__ import annotations

import errno
import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock

# Lustre without -o flock, NFS without its lock daemon, and others.
NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
SOFT = ".held"


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock; filelock's Timeout after `timeout` seconds, never where it is negative."""
    lock = acquire(path, timeout)
    try:
        yield
    finally:
        lock.release()


def acquire(path: Path, timeout: float = -1) -> BaseFileLock:
    """The lock, held until it is released or the process ends.

    Without flock another file says that it is held, which a killed process leaves behind: the next
    one on its host sees that and takes over.
    """
    try:
        lock: BaseFileLock = FileLock(path, timeout=timeout, fallback_to_soft=False)
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_FLOCK:
            raise
        warnings.warn("the file system has no flock: locks are files instead", stacklevel=2)
        lock = SoftFileLock(path.with_name(path.name + SOFT), timeout=timeout)
        lock.acquire()
    return lock


def is_held(path: Path) -> bool | None:
    """Whether a living process holds the lock; None where that cannot be told.

    Asking holds it, shared, for a moment: who wants it has to try for longer than that.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in (errno.EAGAIN, errno.EACCES) else None
    finally:
        os.close(handle)
    return False
