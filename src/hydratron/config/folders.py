"""Where the YAML files of `conf/` are, and which groups and choices they make."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from hydratron.config import degrees


def conf_dir() -> Path:
    """The checkout's `conf/` when the package runs from one, else the packaged copy."""
    here = Path(__file__).resolve()
    checkout = here.parents[3] / "conf"
    return checkout if (checkout / "config.yaml").is_file() else here.parents[1] / "conf"


def search_folders(searchpath: Sequence[str]) -> list[Path]:
    """`conf_dir()` and the folders of `hydra.searchpath` (`file://`, `pkg://` or plain paths)."""
    return [conf_dir(), *(_folder(entry) for entry in searchpath)]


def _folder(entry: str) -> Path:
    scheme, _, rest = entry.rpartition("://")
    if scheme != "pkg":
        return Path(rest)
    try:
        return Path(str(importlib.resources.files(rest.replace("/", "."))))
    except ModuleNotFoundError:
        return Path(rest)


def shadowed(folders: Sequence[Path]) -> list[Path]:
    """Files that nobody would read: a folder before theirs has another one of their name."""
    found: list[Path] = []
    first: dict[Path, Path] = {}
    for folder in folders:
        for file in folder.glob("*/**/*.yaml"):
            used = first.setdefault(file.relative_to(folder), file)
            if used != file and used.read_bytes() != file.read_bytes():
                found.append(file)
    return sorted(found)


def groups(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Each group with its choices, sorted: `{"logger": ["none", "wandb"], ...}`."""
    found = {degrees.GROUP: set(degrees.USUAL)}
    for folder in folders:
        for file in folder.glob("*/**/*.yaml"):
            group, *rest = file.relative_to(folder).with_suffix("").parts
            found.setdefault(group, set()).add("/".join(rest))
    found.pop("hydra", None)
    return {group: sorted(found[group]) for group in sorted(found)}
