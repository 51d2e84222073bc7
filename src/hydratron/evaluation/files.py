"""The files of the tasks: read as text, refused in one line, known by what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from hydratron.errors import DataError, Problem
from hydratron.hashing import file_sha256

DATA = "--data"
# The whole files of the tasks.  WikiText-2 and WikiText-103 have the same test articles and count
# of words; the former has more of them as <unk>: perplexities on the two are not the same.
KNOWN = {
    "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0": (
        "wikitext103",
        "the test articles of WikiText-103 as WikiText-2 has them, with more <unk>",
    ),
    "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226": (
        "lambada",
        "LAMBADA's test set, detokenised by OpenAI",
    ),
}


def known_as(task: str, sha256: str) -> str:
    """What the whole file of a task is called, or nothing."""
    of, name = KNOWN.get(sha256, ("", ""))
    return name if of == task else ""


def read_text(path: Path, option: str = DATA) -> tuple[str, str]:
    """Text and sha256 of a UTF-8 file that has some; DataError, of the `option`, for any other."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror}", option)
    except UnicodeDecodeError as error:
        refuse(path, f"is not UTF-8 text: byte {error.start}", option)
    if not text.strip():
        refuse(path, "is empty", option)
    return text, file_sha256(path)


def read_lines(path: Path, key: str, option: str = DATA) -> tuple[list[str], str]:
    """The texts under `key` of the lines of a .jsonl, and the file's sha256."""
    text, sha256 = read_text(path, option)
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except ValueError:
            expected = f"is not JSON; expected lines like {{{key!r}: ...}}"
            refuse(path, f"line {number}: {expected}", option)
        value = row.get(key) if isinstance(row, dict) else None
        if not isinstance(value, str):
            refuse(path, f"line {number}: has no text under {key!r}", option)
        found.append(value)
    return found, sha256


def refuse(path: Path, expected: str, option: str = DATA) -> NoReturn:
    """The one line for a file that cannot be evaluated on, or whatever `option` names it for."""
    raise DataError([Problem(option, path, expected)])
