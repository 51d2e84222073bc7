"""Hydra's sweeps, enumerated once: choices, ranges, globs, in any order, and their product."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override

from hydratron.config import overrides as grammar
from hydratron.config.keys import listed
from hydratron.errors import ConfigError, Problem


@dataclass(frozen=True)
class Sweep:
    """The last override of each key, with the choices of the groups."""

    overrides: dict[str, Override]
    groups: grammar.Groups

    @classmethod
    def of(cls, overrides: Sequence[Override], groups: grammar.Groups) -> Sweep:
        return cls({override.key_or_group: override for override in overrides}, groups)

    @property
    def keys(self) -> tuple[str, ...]:
        """The options and groups that are swept."""
        return tuple(key for key, found in self.overrides.items() if found.is_sweep_override())

    def product(self, shared: bool) -> list[list[Override]]:
        """The overrides of every job, the last key's values changing first, as in Hydra.

        Raises ConfigError for what has no values, or too many, and where several hosts, which must
        have one list (`shared`), would shuffle theirs.
        """
        lines: dict[str, list[str]] = {}
        for key, override in self.overrides.items():
            if shared and getattr(override.value(), "shuffle", False):
                raise _refusal(override, "every host would shuffle differently; sort() or a list")
            values = self._values(override)
            lines[key] = [f"{override.get_key_element()}={value}" for value in values]
        jobs = math.prod(len(values) for values in lines.values())
        if jobs > grammar.MOST:
            product = " x ".join(str(len(lines[key])) for key in self.keys)
            problem = Problem(
                listed(self.keys), product, f"{jobs:,} jobs, at most {grammar.MOST:,}"
            )
            raise ConfigError([problem])
        parser = OverridesParser.create()
        return [
            parser.parse_overrides(list(product)) for product in itertools.product(*lines.values())
        ]

    def _values(self, override: Override) -> list[str]:
        swept = override.value()
        if not override.is_sweep_override():
            return [override.get_value_element_as_str()]
        if not override.is_discrete_sweep():
            reason = "an interval has no list of values; a sweeper that draws from it does, "
            raise _refusal(override, f"{reason}e.g. hydra/sweeper=optuna")
        if isinstance(swept, Glob):
            return grammar.matching(swept, self.groups[override.key_or_group])
        return list(override.sweep_string_iterator())


def _refusal(override: Override, reason: str) -> ConfigError:
    return ConfigError([Problem(override.get_key_element(), grammar.typed_value(override), reason)])
