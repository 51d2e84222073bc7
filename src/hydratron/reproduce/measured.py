"""From the records of pairings to what is committed: curves.csv, and provenance.json of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from hydratron.reproduce.catalog import Artifact
from hydratron.reproduce.collect import declared, distinct, shared
from hydratron.reproduce.pairings import Pairing

COLUMNS = (
    "pairing", "stage", "model", "precision", "threads", "allocator", "vocabulary", "contender",
    "status", "first_loss", "grad_norm", "memory_bytes", "round", "ms",
)  # fmt: skip
# A row of what a contender has counted; `end` is that of a span, which begins at `value`.
COUNTS = ("rank", "step", "quantity", "value", "end")


class Measured(NamedTuple):
    """The source that measured pairings are; all of them have a record."""

    pairings: Sequence[Pairing]
    command: str

    def curves(self, artifact: Artifact) -> pd.DataFrame:
        """A row for each turn: milliseconds of a step; one without for who has had none.

        Behind them a row for each of a contender's counts, where there are any.
        """
        rows: list[dict[str, Any]] = []
        counts = False
        for one in self.pairings:
            record = one.record
            assert record is not None
            where = {name: record[name] for name in COLUMNS[2:5] + COLUMNS[6:7]}
            where |= {"pairing": one.folder.name, "stage": one.folder.parent.name}
            where["allocator"] = one.allocator
            for found in record["contenders"]:
                seen = {name: found.get(name) for name in COLUMNS[8:12]}
                who = where | seen | {"contender": found["name"]}
                turns = [{"round": n, "ms": ms} for n, ms in enumerate(found.get("ms", ()), 1)]
                rows += [who | turn for turn in turns or [{}]]
                rows += [who | count for count in found.get("counted", ())]
                counts = counts or "counted" in found
        return pd.DataFrame(rows, columns=[*COLUMNS, *COUNTS * counts])

    def provenance(self, artifact: Artifact) -> dict[str, Any]:
        """Machine and code, the version of every contender, and what was asked of each pairing."""
        records = [one.record or {} for one in self.pairings]
        versions = {c["name"]: c["version"] for record in records for c in record["contenders"]}
        return {
            "command": self.command,
            **shared(records),
            "contenders": versions,
            "declared": declared(artifact),
            "load": distinct([record["load"] for record in records]),
            "pairings": [{"folder": one.folder.as_posix(), **one.asked} for one in self.pairings],
        }
