"""The options of the schema by dotted name, and which of them a mistyped name may have meant."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, reduce
from typing import Any

from hydratron.config.schema import Config


@dataclass(frozen=True)
class Option:
    """One leaf of the schema.  `kind` is its type without None; `bounds` are those it declares.

    `marks` are those of its sections and its own (`hydratron.config.option`).
    """

    key: str
    kind: Any
    nullable: bool
    default: Any
    meaning: str
    bounds: Mapping[str, Any]
    marks: Mapping[str, Any]


@cache
def options() -> dict[str, Option]:
    """Every leaf of `Config` by its dotted name, in the order of the schema."""
    return {option.key: option for option in _walk(Config, "", {})}


@cache
def sections() -> tuple[str, ...]:
    """Dotted names of the nodes that hold options: `model`, `model.layernorm`, ..."""
    parents = (key.rpartition(".")[0] for key in options())
    return tuple(dict.fromkeys(parent for parent in parents if parent))


@cache
def marked(mark: str) -> dict[str, Any]:
    """The options that carry a mark, with its value, in the order of the schema."""
    return {key: found.marks[mark] for key, found in options().items() if mark in found.marks}


@cache
def carries(key: str, mark: str) -> bool:
    """Whether the option has the mark; one that only an old file has, as all of its section."""
    if key in options():
        return key in marked(mark)
    section = f"{key.rpartition('.')[0]}."
    inside = [other in marked(mark) for other in options() if other.startswith(section)]
    return bool(inside) and all(inside)


def _walk(schema: type, prefix: str, marks: Mapping[str, Any]) -> Iterable[Option]:
    hints = typing.get_type_hints(schema)
    for field in fields(schema):
        key, hint = prefix + field.name, hints[field.name]
        own = {**marks, **field.metadata.get("marks", {})}
        if is_dataclass(hint):
            yield from _walk(typing.cast(type, hint), f"{key}.", own)
            continue
        kind, nullable = without_none(hint)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        meaning, bounds = field.metadata["meaning"], field.metadata["bounds"]
        yield Option(key, kind, nullable, default, meaning, bounds, own)


def today(value: Any, marks: Mapping[str, Any]) -> Any:
    """The value that an older file's or command's stands for; most stand for themselves."""
    return marks.get("formerly", {}).get(str(value), value)


def value_of(config: Config, key: str) -> Any:
    """The value of a dotted key; also of a section."""
    return reduce(getattr, key.split("."), config)


def set_value(config: Config, key: str, value: Any) -> None:
    """Give the option of a dotted key another value."""
    section, _, name = key.rpartition(".")
    setattr(value_of(config, section) if section else config, name, value)


def without_none(hint: Any) -> tuple[Any, bool]:
    """`int | None` -> (int, True); any other type -> (type, False)."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0], len(kinds) < len(typing.get_args(hint))
    return hint, False


def describe(kind: Any) -> str:
    """The type as a person calls it."""
    names = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
    names |= {list[float]: "a list of numbers, e.g. [0.7,0.3]"}
    return names.get(kind, "a list of texts, e.g. [a,b]")


def nearest(word: str, candidates: Iterable[str], *, always: bool = False) -> str | None:
    """The candidate most like `word`: by its last part first, since prefixes get forgotten.

    None when nothing is like it, unless `always`.
    """
    names = sorted(candidates)
    last = word.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == last]
    for pool, cutoff in ((same, 0.0), (names, 0.6)):
        if found := difflib.get_close_matches(word, pool, n=1, cutoff=cutoff):
            return found[0]
    tails = {name.rpartition(".")[2]: name for name in reversed(names)}
    if found := difflib.get_close_matches(last, tails, n=1, cutoff=0.6):
        return tails[found[0]]
    if inside := [name for name in names if len(last) > 2 and last in name]:
        return min(inside, key=len)
    return difflib.get_close_matches(word, names, n=1, cutoff=0.0)[0] if always else None


def listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)
