"""Which files are text, in folders as they are found: with links, other files, and our own output.

Nothing is left out without a word.  What cannot be told without being wrong is an error that names
the path: a link to nothing, a folder that may not be read, a pipe.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydratron.data.text.files import EXPECTED, KINDS, InputFile, kind_of
from hydratron.errors import DataError, Problem

# What lies in a folder that hydratron wrote: a job, prepared tokens, a choice among them.
OWN = (
    {"config.yaml", "overrides.yaml"},
    {"manifest.json", "tokenizer.json"},
    {"selection.json", "tokenizer.json"},
)
# A run's folder in that of W&B, and what lies in it.
WANDB = re.compile(r"(offline-)?run-\d{8}_\d{6}-\w+|.+\.wandb")
MOST_ENDINGS = 5

Place = tuple[int, int]
"""Device and number: what tells that two names are one file or folder."""


@dataclass
class Found:
    """The files of all paths, in order; `note` is a line about the rest, empty without any."""

    files: list[InputFile] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    own: int = 0
    twice: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def note(self) -> str:
        told = []
        if self.endings:
            most = self.endings.most_common(MOST_ENDINGS)
            listed = [f"{count} {ending}" for ending, count in most]
            listed += ["..."] * (len(self.endings) > MOST_ENDINGS)
            total = self.endings.total()
            told.append(f"{_files(total)} other than {_kinds()} ({', '.join(listed)})")
        if self.own:
            told.append(f"{self.own} folder{'s' * (self.own > 1)} that hydratron or W&B wrote")
        if self.twice:
            told.append(f"{self.twice} link{'s' * (self.twice > 1)} to what is read already")
        return f"left out: {'; '.join(told)}" if told else ""


def find_files(paths: Sequence[str | Path], option: str) -> Found:
    """The files of every path; folders recursively in the order of their paths, hidden ones not.

    Linked files and folders are followed, each once.  Raises DataError, with `option` as the key,
    for every path that gives no file and for everything in a folder that cannot be read.
    """
    found = Found()
    for path in map(Path, paths):
        _find(path, found, option)
    if found.problems:
        raise DataError(found.problems)
    return found


def _find(path: Path, found: Found, option: str) -> None:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            before = len(found.files), len(found.problems)
            _search(path, found, option)
            if before == (len(found.files), len(found.problems)):
                expected = f"the folder has no {_kinds()} file"
                note = f"; {found.note}" if found.note else ""
                found.problems.append(Problem(option, path, f"{expected}{note}"))
            return
    except OSError as error:
        found.problems.append(Problem(option, path, _unreadable(path, error)))
        return
    wrong = _wrong(path, status)
    if wrong is None and not kind_of(path):
        wrong = f"is not {EXPECTED}"
    if wrong is not None:
        found.problems.append(Problem(option, path, wrong))
    found.files.append(InputFile(path.name, path))


def _search(root: Path, found: Found, option: str) -> None:
    """Add what is in a folder.  Its own files and folders come before what its links lead to, so
    that each has the name by which it lies there."""
    files: dict[Path, Path] = {}
    seen: set[Place] = set()
    folders, linked, links = [root], list[Path](), list[Path]()
    while folders or linked:
        folder = (folders or linked).pop(0)
        if not _first(folder, seen):
            found.twice += 1
            continue
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            found.problems.append(Problem(option, folder, _unreadable(folder, error)))
            continue
        if folder != root and _is_own(names):
            found.own += 1
            continue
        for path in (folder / name for name in names if not name.startswith(".")):
            try:
                status = path.stat()
            except OSError as error:
                found.problems.append(Problem(option, path, _unreadable(path, error)))
                continue
            if stat.S_ISDIR(status.st_mode):
                (linked if path.is_symlink() else folders).append(path)
            elif not kind_of(path):
                found.endings[_ending(path)] += 1
            elif (wrong := _wrong(path, status)) is not None:
                found.problems.append(Problem(option, path, wrong))
            elif path.is_symlink():
                links.append(path)
            else:
                seen.add((status.st_dev, status.st_ino))
                files[path.relative_to(root)] = path
    for path in links:
        if _first(path, seen):
            files[path.relative_to(root)] = path
        else:
            found.twice += 1
    found.files += [InputFile(name.as_posix(), path) for name, path in sorted(files.items())]


def _first(path: Path, seen: set[Place]) -> bool:
    """Whether a path leads to something new."""
    status = path.stat()
    place = status.st_dev, status.st_ino
    new = place not in seen
    seen.add(place)
    return new


def _is_own(names: Collection[str]) -> bool:
    """Whether hydratron or W&B wrote a folder, from the names in it."""
    return any(marks.issubset(names) for marks in OWN) or any(map(WANDB.fullmatch, names))


def _wrong(path: Path, status: os.stat_result) -> str | None:
    """Why something that is no folder cannot be read."""
    if not stat.S_ISREG(status.st_mode):
        kind = "a pipe" if stat.S_ISFIFO(status.st_mode) else "a device or a socket"
        return f"is {kind}; text is read several times, so write it to a file first"
    return None if os.access(path, os.R_OK) else "cannot be read: Permission denied"


def _unreadable(path: Path, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return f"cannot be read: {error.strerror}"
    if path.is_symlink():
        return f"is a link to {os.readlink(path)}, which does not exist"
    return f"does not exist; expected {EXPECTED}"


def _ending(path: Path) -> str:
    """The end of a name as a person calls it: `.csv`, but `.jsonl.bz2`."""
    inner = path.with_suffix("").suffix
    packed = inner if inner.lower() in KINDS else ""
    return f"{packed}{path.suffix}" if path.suffix else "without ending"


def _kinds() -> str:
    return " or ".join([", ".join(KINDS[:-1]), KINDS[-1]])


def _files(count: int) -> str:
    return f"{count} file{'s' * (count > 1)}"
