"""Files mapped into memory without staying open.

Python's own map (so NumPy's) keeps a file descriptor of its file until the map goes, before 3.13
at least, and a blend of hundreds of sets with their sample orders has thousands of files, where the
usual limit of open files is 1,024.  The kernel needs none once it has mapped a file.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

FAILED = ctypes.c_void_p(-1).value


def mapped(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a file, read-only and shared by all processes, [size].  Raises OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:  # cannot be mapped
            return np.frombuffer(b"", np.uint8)
        address = _libc().mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address == FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    content = (ctypes.c_uint8 * size).from_address(address)
    # Every view of the array, in whatever type, holds `content`.
    weakref.finalize(content, _libc().munmap, address, size).atexit = False
    return np.frombuffer(memoryview(content).toreadonly(), np.uint8)


def mapped_npy(path: Path) -> npt.NDArray[Any]:
    """The array of a `.npy` file.  Raises OSError, or ValueError or TypeError when it is none."""
    with path.open("rb") as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        start = file.tell()
    content = mapped(path)[start:].view(dtype)
    return content.reshape(shape, order="F" if fortran else "C")


@cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    number, size = ctypes.c_int, ctypes.c_size_t
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = ctypes.c_void_p, size, number, number, number, ctypes.c_longlong
    library.munmap.argtypes = ctypes.c_void_p, size
    return library
