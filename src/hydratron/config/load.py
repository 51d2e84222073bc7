"""`Config` to and from plain dictionaries and YAML, strictly and without omegaconf."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hydratron.config import plain_yaml
from hydratron.config.keys import describe, nearest, sections, today, without_none
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, Problem
from hydratron.job import write_text


def to_dict(config: Config) -> dict[str, Any]:
    """Nested dictionaries of plain values, every option included."""
    return dataclasses.asdict(config)


def from_dict(content: Mapping[str, Any]) -> Config:
    """The configuration; options that are left out keep their defaults.

    Raises ConfigError naming every unknown key and every value of the wrong type.
    """
    problems: list[Problem] = []
    config = _build(Config, content, "", problems)
    if problems:
        raise ConfigError(problems)
    return typing.cast(Config, config)


def dump(config: Config, path: Path) -> None:
    """Write the whole configuration as YAML, by rename."""
    write_text(path, to_yaml(config))


def to_yaml(config: Config, section: str | None = None) -> str:
    """The configuration, or one section of it.  Raises ConfigError when there is none such."""
    content: Any = to_dict(config)
    for name in section.split(".") if section and section != "_global_" else ():
        content = content.get(name) if isinstance(content, dict) else None
    if section and not isinstance(content, dict):
        close = nearest(section, sections(), always=True)
        raise ConfigError([Problem("--package", section, f"no such section; nearest: {close}")])
    # Escaped: written as it is, U+0085 would be read back as a space.
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=False)


def load(path: Path) -> Config:
    """Read what `dump` wrote.  Raises ConfigError when the file is missing, broken or strange."""
    try:
        if path.exists() and not path.is_file():  # Who opens a pipe waits for ever.
            raise ConfigError([Problem("config", path, "not a file")])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem("config", path, "no such file")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("config", path, f"not YAML: {error}")]) from None
    return read(text, path)


def read(text: str, where: Path) -> Config:
    """The same of a text that stands in the file `where`."""
    try:
        content = plain_yaml.read(text)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise ConfigError([Problem("config", where, f"not YAML: {said}")]) from None
    if not isinstance(content, dict):
        raise ConfigError([Problem("config", where, "not a mapping of options")])
    return from_dict(content)


def _build(schema: type, content: Any, prefix: str, problems: list[Problem]) -> Any:
    if not isinstance(content, Mapping):
        problems.append(Problem(prefix.rstrip("."), content, "a mapping of options is expected"))
        return schema()
    hints = typing.get_type_hints(schema)
    for key in content.keys() - hints.keys():
        close = nearest(str(key), hints)
        hint = f"; nearest: {prefix}{close}" if close else ""
        problems.append(Problem(f"{prefix}{key}", content[key], f"no such option{hint}"))
    marks = {field.name: field.metadata.get("marks", {}) for field in dataclasses.fields(schema)}
    values = {
        name: _value(hint, today(content[name], marks[name]), f"{prefix}{name}", problems)
        for name, hint in hints.items()
        if name in content
    }
    return schema(**values)


def _value(hint: Any, value: Any, key: str, problems: list[Problem]) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, f"{key}.", problems)
    kind, nullable = without_none(hint)
    if value is None and nullable:
        return None
    if kind is float and type(value) is int:
        return float(value)
    if kind == list[float] and isinstance(value, list):
        value = [float(item) if type(item) is int else item for item in value]
    if item_kind := typing.get_args(kind):
        fits = isinstance(value, list) and all(type(item) is item_kind[0] for item in value)
    else:
        fits = type(value) is kind
    if not fits:
        problems.append(Problem(key, value, f"{describe(kind)} is expected"))
    return value
