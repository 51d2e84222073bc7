"""Overrides as typed on the command line, refused in one line each when they cannot be meant.

Hydra alone would accept `+typo=1`, and answers other mistakes with several lines of its own.
Keys under `hydra` are the user's and are not looked at.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydratron.config import degrees
from hydratron.config.keys import describe, listed, nearest, options, sections, today
from hydratron.config.schema import Config
from hydratron.config.validate import bound_problem
from hydratron.errors import ConfigError, Problem

# The jobs of a command: a range with a slip of the key has billions.
MOST = 10_000

Groups = Mapping[str, Sequence[str]]

# Names of options that do not exist but look like credentials: their value is not repeated.
SECRET = re.compile(r"api_?key|secret|passw|credential|(^|[._])(key|token)$", re.IGNORECASE)


def parse(lines: Sequence[str], groups: Groups) -> list[Override]:
    """The overrides of one command, in order.

    `groups` maps each group of `conf/` to its choices.  Raises ConfigError with every problem.
    """
    parser = OverridesParser.create()
    scratch = OmegaConf.structured(Config)
    parsed, problems = [], []
    for line in lines:
        try:
            override = parser.parse_overrides([line])[0]
        except HydraException:
            problems.append(_malformed(line))
            continue
        parsed.append(override)
        if not override.key_or_group:
            problems.append(_malformed(line))
        elif not is_hydra(override):
            problems.extend(_check(override, groups, scratch))
    if problems:
        raise ConfigError(problems)
    return parsed


def is_hydra(override: Override) -> bool:
    """True for `hydra.*`, `hydra/*` and `hydra` itself."""
    return bool(override.is_hydra_override()) or override.key_or_group == "hydra"


def is_group(override: Override, groups: Groups) -> bool:
    """True when the override chooses a file of a group rather than sets an option."""
    return override.package is None and override.key_or_group in groups


def values(override: Override, choices: Sequence[str] = ()) -> Iterator[Any]:
    """The value, or each value of a sweep; an interval gives its two ends."""
    swept = override.value()
    if isinstance(swept, Glob):
        yield from matching(swept, choices)
    elif isinstance(swept, IntervalSweep):
        yield from (swept.start, swept.end)
    elif override.is_sweep_override():
        for value in override.sweep_iterator():
            yield value.text if isinstance(value, QuotedString) else value
    else:
        yield swept


def matching(glob: Glob, choices: Sequence[str]) -> list[str]:
    """The choices of a group that it names; as in Hydra, none of the groups inside that group."""
    return glob.filter([choice for choice in choices if "/" not in choice])


def _malformed(line: str) -> Problem:
    key, equals, value = line.partition("=")
    if not equals or not key:
        return Problem(line, "", "an override is KEY=VALUE, without spaces around the =")
    if SECRET.search(key):
        return Problem(key, "***", "cannot be read")
    example = f"'{key}=\"...\"'"
    expected = f"cannot be read; a value with = , or brackets needs quotes: {example}"
    return Problem(key, value, expected)


def _check(override: Override, groups: Groups, scratch: DictConfig) -> list[Problem]:
    key, typed = override.get_key_element(), typed_value(override)
    plain = override.key_or_group
    group = is_group(override, groups)
    if override.package is not None or not (group or plain in options()):
        return [_unknown(override, groups)]
    if override.is_delete():
        return [Problem(key, typed, "an option cannot be removed; set it instead")]
    if override.is_add():
        return [Problem(key, typed, f"{plain} exists; write it without the +")]
    if group:
        return _check_choices(override, groups[plain])
    if isinstance(swept := override.value(), RangeSweep) and swept.step == 0:
        return [Problem(key, typed, "a step of 0 leads nowhere")]
    found, tried = [], list(itertools.islice(values(override), MOST + 1))
    if not tried:
        return [Problem(key, typed, "no value lies in it")]
    if len(tried) > MOST:
        return [Problem(key, typed, f"more than {MOST:,} jobs")]
    for value in tried:
        if (problem := _check_value(plain, value, scratch)) is not None:
            found.append(problem)
    return found


def _check_choices(override: Override, choices: Sequence[str]) -> list[Problem]:
    found, group = [], override.key_or_group
    chosen = list(values(override, choices))
    if not chosen:
        found.append(Problem(group, typed_value(override), f"matches none of {listed(choices)}"))
    for choice in chosen:
        if choice in choices:
            continue
        shown = "null" if choice is None else choice
        if group == degrees.GROUP:
            reason = degrees.problem(choice)
        elif choice is None and group == "experiment":
            # It may be absent, but Hydra takes no null for a group.
            reason = "a choice is expected; leave the key out for none"
        else:
            close = nearest(str(choice), choices)
            hint = f"nearest: {close}; " if close else ""
            reason = f"no such choice; {hint}choices: {listed(choices)}"
        if reason is not None:
            found.append(Problem(group, shown, reason))
    return found


def _check_value(key: str, value: Any, node: DictConfig) -> Problem | None:
    """Try the value on a whole configuration, which converts and refuses as composing would."""
    option = options()[key]
    try:
        OmegaConf.update(node, key, value)
        section, _, name = key.rpartition(".")
        parent = OmegaConf.select(node, section) if section else node
        if OmegaConf.is_interpolation(parent, name):
            return None
        return bound_problem(key, today(OmegaConf.select(node, key), option.marks), option.bounds)
    except OmegaConfBaseException:
        none = " or null" if option.nullable else ""
        shown = "null" if value is None else value
        return Problem(key, shown, f"{describe(option.kind)}{none} is expected: {option.meaning}")


def _unknown(override: Override, groups: Groups) -> Problem:
    key, typed = override.get_key_element(), typed_value(override)
    plain = override.key_or_group
    if SECRET.search(plain):
        return Problem(key, "***", "no such option; secrets belong in the environment, not here")
    if plain in sections():
        first = next(name for name in options() if name.startswith(f"{plain}."))
        return Problem(key, typed, f"holds several options; set one of them, e.g. {first}=")
    close = nearest(plain, [*groups, *options()], always=True) or ""
    if close in groups:
        close = f"{close}={'|'.join(groups[close])}"
    expected = f"no such option; nearest: {close} (all: hydratron train --help)"
    return Problem(key, typed, expected)


def typed_value(override: Override) -> str:
    """What stands after the = as it was typed."""
    return (override.input_line or "").partition("=")[2]


def searchpath(lines: Sequence[str]) -> list[str]:
    """The folders of `hydra.searchpath=[...]`, or none."""
    line = next((line for line in lines if line.startswith("hydra.searchpath=")), None)
    if line is None:
        return []
    try:
        value = OverridesParser.create().parse_overrides([line])[0].value()
    except HydraException:
        raise ConfigError([_malformed(line)]) from None
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]


def with_search_folder(lines: Sequence[str], folder: Path) -> list[str]:
    """The overrides with a folder of configs, `--config-dir`, before those of `searchpath`."""
    rest = [line for line in lines if not line.startswith("hydra.searchpath=")]
    paths = [f"file://{folder.resolve()}", *searchpath(lines)]
    quoted = ",".join(QuotedString(path, Quote.single).with_quotes() for path in paths)
    return [*rest, f"hydra.searchpath=[{quoted}]"]
