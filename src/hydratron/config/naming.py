"""What a job is called: its place, what is compared, what else its sweep varies, and its seed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hydratron.config.keys import marked, options, value_of
from hydratron.config.schema import Config

LONGEST = 100
# What every name says already.
SAID = {"seed", "model.name", "model.layernorm.placement", *marked("axis")}


@dataclass(frozen=True)
class Label:
    """`003_gpt_nano-tp2-pre-lr0.003-s1` as text; safe for file systems, at most LONGEST long.

    `choices` are those of the groups of `conf/`; `keys` the options and groups that have several
    values in the sweep.
    """

    number: int
    config: Config
    choices: Mapping[str, str]
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        number, seed = f"{self.number:03d}_", f"-s{self.config.seed}"
        middle = "-".join([self.config.variant, *self._parts()])
        if len(number + middle + seed) > LONGEST:
            digest = f"-{hashlib.sha256(middle.encode()).hexdigest()[:8]}"
            middle = middle[: LONGEST - len(number + digest + seed)] + digest
        return f"{number}{middle}{seed}"

    def saying(self, more: Iterable[str]) -> Label:
        """The label that also says the values of these options."""
        return replace(self, keys=tuple(dict.fromkeys([*self.keys, *more])))

    def _parts(self) -> Iterator[str]:
        for key in self.keys:
            if key in options():
                if key not in SAID:
                    yield _part(key.rpartition(".")[2], value_of(self.config, key))
            elif self.choices.get(key) not in (None, *self.config.variant.split("-")):
                yield _part(key, self.choices[key])


def _part(name: str, value: Any) -> str:
    """`lr0.003`, `recompute_true`, `optim_sgd`, `path_books_a.txt`."""
    if isinstance(value, float):
        value = f"{value:g}"
    elif value is None or isinstance(value, bool):
        value = "null" if value is None else str(value).lower()
    text = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(value)).strip("_")
    return f"{name}{text}" if re.match(r"[-+.\d]", text) else f"{name}_{text}"
