"""What a rank takes over of its launcher's environment; the rest was meant for other processes."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Which process of which job one is, and where they meet: torchrun says it, or `one_host`.
PLACE = re.compile(
    r"((LOCAL|GROUP|ROLE|NODE)_)?(RANK|WORLD_SIZE)|(GROUP|ROLE)_NAME|MASTER_(ADDR|PORT)"
    r"|(TORCHELASTIC|PET)_.*"
)
# Which run of W&B this is and where its files go: the configuration says it.  Who is logged in, at
# which server and with which caches stays the environment's.
RUN = re.compile(
    r"WANDB_(DIR|DISABLED|JOB_TYPE|MODE|NAME|NOTES|PROJECT|RESUME|RUN_.*|SERVICE|SWEEP_.*|TAGS)"
)
# By which interface ranks talk: between hosts whoever knows the network says it; on one host it is
# the loopback, because another's name may be unknown here and this host's name need not resolve.
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
# What libraries read once, when they are loaded.  A thread of OpenMP that spins for its peer takes
# the core that the peer needs: with another process on two cores a step took six times as long.
SPIN = {"GOMP_SPINCOUNT": "1000"}
# glibc gives the memory of a step back and faults it in again with the next: thousands of pages.
# Above the first size it would map each block anew; it trims what is free above the second.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}
# A socket's path has at most 107 bytes, of which its folder and its name take 32.
LONGEST_FOLDER = 72
SHORT_FOLDERS = ("/tmp", "/var/tmp")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What the ranks of a job, or their torchrun, take over."""
    kept = {
        name: value
        for name, value in environment.items()
        if not (PLACE.fullmatch(name) or RUN.fullmatch(name))
    }
    if (folder := _short_folder()) is not None:
        kept["TMPDIR"] = folder
    return loading(kept) | kept


def loading(environment: Mapping[str, str]) -> dict[str, str]:
    """What a rank's process must start with, but for what the user has set."""
    tuned = any(name.startswith("MALLOC_") for name in environment)
    wanted = SPIN if tuned else SPIN | ALLOCATOR
    return {name: value for name, value in wanted.items() if name not in environment}


def one_host(rank: int, world_size: int) -> dict[str, str]:
    """What torchrun would set on one host: Lightning then starts no processes of its own."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "hydratron",
        # Never opened: the process group exists before anyone could ask for this address.
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "0",
    }


def within_host() -> dict[str, str]:
    """By which interface the ranks of one host talk; empty where it has no loopback."""
    names = {name for _, name in socket.if_nameindex()}
    loopback = next((name for name in ("lo", "lo0") if name in names), None)
    return dict.fromkeys(INTERFACES, loopback) if loopback else {}


@contextmanager
def short_sockets() -> Iterator[None]:
    """Temporary files made in the block have short paths, whatever TMPDIR says."""
    before = tempfile.tempdir
    tempfile.tempdir = _short_folder() or before
    try:
        yield
    finally:
        tempfile.tempdir = before


def _short_folder() -> str | None:
    """A folder in place of the one for temporary files; None where that one, or none, will do."""
    if len(os.fsencode(tempfile.gettempdir())) <= LONGEST_FOLDER:
        return None
    usable = (folder for folder in SHORT_FOLDERS if os.access(folder, os.W_OK | os.X_OK))
    return next(usable, None)
