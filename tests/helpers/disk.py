"""A disk that is full, without a file system of one's own."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Of a program's first lines: from here on modes of folders hold for root too.
UNPRIVILEGED = """
import ctypes, os
if os.geteuid() == 0:
    libc, version = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()
    libc.capget(version, held)
    held[0] &= ~2  # CAP_DAC_OVERRIDE, effective and permitted
    held[1] &= ~2
    libc.capset(version, held)
"""


@contextmanager
def full_disk(size: int = 8192) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: writes fail with an OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
