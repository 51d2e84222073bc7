"""`resume=`: the parent job's configuration, with whatever the command names put on top."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hydratron.config.keys import marked, options, set_value, value_of
from hydratron.config.load import load
from hydratron.config.schema import Config
from hydratron.errors import Problem

PACKAGE = re.compile(r"^#\s*@package\s+(\S+)", re.MULTILINE)

OWN = ("logger.", "launch.")
OWN_GROUP = "model.layernorm."  # inside `model`, but chosen by `layernorm=`


def config_file(resume: Path) -> Path:
    """The parent's config.yaml, for a job folder or one of its checkpoints."""
    own = resume / "config.yaml"
    return own if own.exists() else resume.parent.parent / "config.yaml"


def merge(composed: Config, named: Iterable[str]) -> Config:
    """The parent's configuration with the composed value of every option in `named`.

    Where the parent ran, and who watched it, is not taken over: see `left_behind`.  Raises
    ConfigError when the parent's config.yaml cannot be read.
    """
    assert composed.resume is not None
    merged = load(config_file(Path(composed.resume)))
    # Prepared tokens belong to a data and tokenizer pair: they are looked up again for this job.
    merged.data.prepared = None
    # The command may be given again from another folder.
    merged.resume = str(Path(composed.resume).resolve())
    for key in surroundings():
        set_value(merged, key, value_of(composed, key))
    # A resumed run goes on; where its parent began, its parent's provenance says.
    merged.init_from = merged.init_checkpoint = None
    # Asked for once, not for every run that goes on from this one.
    merged.checkpoint.cast = False
    for key in named:
        if key != "resume":
            set_value(merged, key, value_of(composed, key))
    return merged


def surroundings() -> list[str]:
    """Options that say nothing of the training: its logger, its processes, its folders."""
    return [key for key in options() if key.startswith(OWN) or key == "data.cache_dir"]


def left_behind(configs: Iterable[Config]) -> list[str]:
    """`KEY=VALUE` of the parent of the first resuming job that has another one of its own."""
    parents: dict[str, dict[str, Any]] = {}  # The jobs of a sweep mostly share one.
    for config in configs:
        if config.resume is None:
            continue
        if config.resume not in parents:
            parent = load(config_file(Path(config.resume)))
            parents[config.resume] = {key: value_of(parent, key) for key in surroundings()}
        old = parents[config.resume]
        if left := [f"{key}={old[key]}" for key in old if old[key] != value_of(config, key)]:
            return left
    return []


def fixed_problems(config: Config) -> list[Problem]:
    """Options of a resuming job that must stay as the parent had them and do not."""
    assert config.resume is not None
    parent, found = load(config_file(Path(config.resume))), []
    for key in marked("fixed"):
        old, new = value_of(parent, key), value_of(config, key)
        if old != new:
            found.append(Problem(key, new, f"{old} -> {new} cannot change over a resume"))
    return found


def named_options(
    groups: Mapping[str, str], keys: Iterable[str], folders: Sequence[Path]
) -> list[str]:
    """The options that a command states: `keys`, and those of each chosen group file.

    `groups` maps a group to its choice; the files are looked for in `folders`.  A group names every
    option of its section; an experiment, which has no section, names what its file sets.
    """
    named = list(keys)
    for group, choice in groups.items():
        found = (folder / group / f"{choice}.yaml" for folder in folders)
        file = next((path for path in found if path.is_file()), None)
        package = _package(group, file)
        if package == "_global_":
            named += _global_keys(file, folders)
        else:
            inside = [key for key in options() if key.startswith(f"{package}.")]
            named += [key for key in inside if package != "model" or not key.startswith(OWN_GROUP)]
    return list(dict.fromkeys(named))


def _package(group: str, file: Path | None) -> str:
    header = PACKAGE.search(file.read_text(encoding="utf-8")) if file is not None else None
    return header.group(1) if header else group.replace("/", ".")


def _global_keys(file: Path | None, folders: Sequence[Path]) -> list[str]:
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file is not None else None
    content = content if isinstance(content, dict) else {}
    chosen = {}
    for entry in content.pop("defaults", []):
        if isinstance(entry, dict):
            for group, choice in entry.items():
                chosen[group.removeprefix("override ").strip().lstrip("/")] = str(choice)
    leaves = [key for key in _leaves(content, "") if key in options()]
    return leaves + named_options(chosen, [], folders)


def _leaves(content: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
