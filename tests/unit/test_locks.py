"""Locks, also on file systems that know none."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout

from hydratron.locks import NO_FLOCK, acquire, is_held, locked

KILLED = """
import os, sys, warnings
from pathlib import Path
import fcntl
from hydratron.locks import acquire
def flock(handle, operation):
    raise OSError(int(sys.argv[2]), "no flock")
fcntl.flock = flock
warnings.simplefilter("ignore")
acquire(Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def without_flock(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_one_at_a_time_and_anybody_can_see_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert is_held(path) is None
    with locked(path):
        assert is_held(path) is True
        with pytest.raises(Timeout), locked(path, 0.01):
            pass
    assert is_held(path) is False
    with locked(path, 0):
        pass


@pytest.mark.parametrize("code", NO_FLOCK)
def test_without_flock_one_at_a_time_after_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    without_flock(monkeypatch, code)
    path = tmp_path / ".lock"
    with pytest.warns(UserWarning, match="no flock"):
        lock = acquire(path)
    assert is_held(path) is None
    with pytest.warns(UserWarning, match="no flock"), pytest.raises(Timeout):
        acquire(path, 0.01)
    lock.release()
    with pytest.warns(UserWarning, match="no flock"):
        acquire(path, 0).release()


def test_without_flock_a_killed_process_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", KILLED, str(path), str(errno.ENOSYS)]
    assert subprocess.run(command).returncode == -9
    assert (tmp_path / ".lock.held").exists()
    without_flock(monkeypatch, errno.ENOSYS)
    with pytest.warns(UserWarning, match="no flock"):
        acquire(path, 5).release()


def test_another_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_flock(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), locked(tmp_path / ".lock"):
        pass
