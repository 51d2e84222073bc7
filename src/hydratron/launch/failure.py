"""failure.json: the first cause of a failed job, whichever process saw it."""

from __future__ import annotations

import json
import signal
import traceback
from pathlib import Path
from typing import Any

from hydratron.job import JobFolder, beside, read_json, write_json
from hydratron.launch.history import last_row

# A rank whose peer went away: torch.distributed's public type, which this process need not import.
_LOST_PEER_TYPE = "DistError"
# gloo raises a bare RuntimeError, which only its text tells from others (torch 2.11 and 2.13); the
# second is said by a rank whose operation another thread found too late.
_LOST_PEER_TEXTS = ("gloo/transport", "Application timeout caused pair closure")


def raised(folder: JobFolder, rank: int | None, error: BaseException) -> bool:
    """Record an exception of a rank, or of the launcher; False when another cause was first."""
    text = "".join(traceback.format_exception(error))
    message = f"sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
    kind = type(error).__name__
    lost = _LOST_PEER_TYPE in {base.__name__ for base in type(error).__mro__}
    lost = lost or any(text in message for text in _LOST_PEER_TEXTS)
    try:
        return _first(folder, _describe(folder, rank, kind, message, text, lost))
    except OSError:  # A disk that is all but full may have room for the line.
        return _first(folder, _describe(folder, rank, kind, message, "", lost))


def ended(folder: JobFolder, rank: int | None, code: int, starved: bool = False) -> None:
    """Record a rank's non-zero exit code, negative for a signal, as its launcher saw it.

    `starved`: the kernel has killed a process for memory meanwhile.

    An earlier cause stays, but for the error of a rank that only lost its peer: this is why.  Code
    1 is the end of a rank whose exception is recorded, so it explains nothing more.
    """
    who = "torchrun" if rank is None else f"rank {rank}"
    if code == -signal.SIGKILL and starved:
        advice = "a smaller trainer.micro_batch_size or more ranks need less"
        kind, message = "OutOfMemory", f"{who} was killed for lack of memory; {advice}"
    elif code < 0:
        kind, message = "Killed", f"{who} was killed by {_signal_name(-code)}"
    else:
        kind, message = "Exit", f"{who} ended with code {code}"
    failure = _describe(folder, rank, kind, message, "", lost=False)
    if not _first(folder, failure) and code != 1 and lost_peer(folder):
        write_json(folder.failure, failure)


def lost_peer(folder: JobFolder) -> bool:
    """Whether the recorded failure is of a rank that only lost its peer."""
    return bool((read_json(folder.failure) or {}).get("lost_peer"))


def _describe(
    folder: JobFolder, rank: int | None, kind: str, message: str, text: str, lost: bool
) -> dict[str, Any]:
    return {
        "rank": rank,
        "kind": kind,
        "message": message,
        "traceback": text,
        "step": last_row(folder).get("step"),
        "lost_peer": lost,
    }


def _first(folder: JobFolder, failure: dict[str, Any]) -> bool:
    """Write failure.json unless it exists; a hard link is whole and can be made only once.

    With a result every rank had finished: how it ended after that changes nothing.
    """
    if folder.result.exists():
        return False
    temporary = beside(folder.failure)
    try:
        temporary.write_text(json.dumps(failure, indent=2) + "\n", encoding="utf-8")
        return _linked(temporary, folder.failure)
    finally:
        temporary.unlink(missing_ok=True)


def _linked(temporary: Path, path: Path) -> bool:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError:  # exFAT and some network shares have no hard links.
        if path.exists():
            return False
        temporary.replace(path)
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
