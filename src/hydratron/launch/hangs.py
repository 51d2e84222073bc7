"""When ranks waited in vain: which one is stuck, and where each of them stands."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from hydratron.job import JobFolder, read_json, write_json
from hydratron.launch.supervision import rank_log

# What `training.watchdog` writes.
SAID = re.compile(r"^HANG rank=(\d+) step=(\d+) waits=(yes|no) at=(.*)$", re.MULTILINE)
TIMED_OUT = re.compile(r"tim(ed|e)[ -]?out", re.IGNORECASE)
TAIL_BYTES = 1_000_000


def explain(folder: JobFolder, ranks: int) -> None:
    """Where the recorded failure is of a rank that only waited too long, name the stuck one.

    Call it before the ranks are ended: a stopped one is known by its state.
    """
    found = read_json(folder.failure)
    if not (found and found.get("lost_peer") and TIMED_OUT.search(str(found.get("message")))):
        return
    stopped = {rank for rank in range(ranks) if any(map(_is_stopped, processes(folder, rank)))}
    everyone = {rank: _said(rank_log(folder, rank)) for rank in range(ranks)}
    said = {rank: place for rank, place in everyone.items() if place is not None}
    away = {rank for rank, (_, waits, _) in said.items() if waits == "no"}
    stuck = min(stopped or away, default=None)
    texts = []
    for rank in range(ranks):
        if rank in stopped:
            texts.append(f"rank {rank} is stopped, by SIGSTOP or a debugger")
        elif rank in said:
            _, waits, place = said[rank]
            texts.append(f"rank {rank} {'waits' if waits == 'yes' else 'is stuck'} at {place}")
    if not texts:
        return
    step = next((int(step) for step, _, _ in said.values()), found.get("step"))
    message = f"no answer in time: {'; '.join(texts)}"
    more = {"rank": stuck, "kind": "Hang", "message": message, "step": step, "lost_peer": False}
    write_json(folder.failure, found | more)


def kill_rest(folder: JobFolder, ranks: int) -> None:
    """End the processes of the job's ranks on this host that are still there, stopped ones too."""
    for rank in range(ranks):
        for pid in processes(folder, rank):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def processes(folder: JobFolder, rank: int) -> list[int]:
    """Processes on this host whose output is the rank's log; none where there is no /proc."""
    try:
        log = rank_log(folder, rank).resolve(strict=True)
    except OSError:
        return []
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/1"):
        with suppress(OSError):
            if os.readlink(link) == str(log):
                found.append(int(link.parts[2]))
    return found


def _is_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")


def _said(log: Path) -> tuple[str, str, str] | None:
    """Step, `yes` where it waits for others, and place, as the rank last said it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    said = SAID.findall(text)
    return said[-1][1:] if said else None
