"""GLUE's tables: SST-2, MNLI and QQP, tab-separated and without quoting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydratron.data.labelled.example import Example, clean, lines, refuse

BINARY = {"0": 0, "1": 1}
# The order of Megatron-LM's classes (facts, 4.3).
ENTAILMENT = {"contradiction": 0, "entailment": 1, "neutral": 2}


@dataclass(frozen=True)
class Columns:
    """Where the texts and the label are; `width` is that of a row."""

    width: int
    texts: tuple[int, ...]
    label: int


@dataclass(frozen=True)
class Table:
    """A task of GLUE: its columns by their names in the header, and its labels.

    texts:     for each text the names that its column may have.
    label:     the names that the column of labels may have.
    plain:     (number of columns) label first, in a file without a header; 0: a header is needed.
    lenient:   whether a row of another width is left out, as Megatron-LM does with QQP.
    """

    name: str
    texts: Sequence[tuple[str, ...]]
    label: tuple[str, ...]
    labels: Mapping[str, int]
    validation: Sequence[str] = ("dev.tsv",)
    plain: int = 0
    lenient: bool = False
    train: Sequence[str] = ("train.tsv",)
    spans: bool = False
    folders: bool = False

    def files(self, place: Path, key: str) -> list[Path]:
        return [place]

    def read(self, file: Path, skipped: Counter[str]) -> Iterator[Example]:
        # MNLI's second set is of other genres.
        group = int("mismatched" in file.name)
        columns: Columns | None = None
        for row, line in lines(file):
            if not line:
                continue
            cells = line.split("\t")
            if columns is None:
                columns, header = self._columns(file, cells)
                if header:
                    continue
            if len(cells) != columns.width:
                if self.lenient:
                    skipped["rows of another width"] += 1
                    continue
                refuse(file, row, f"has {len(cells)} columns; {columns.width} are expected")
            name = cells[columns.label].strip()
            if name not in self.labels:
                refuse(file, row, f"one of {', '.join(self.labels)} is expected", f"label {name}")
            texts = tuple(clean(cells[i]) for i in columns.texts)
            if not all(texts):
                skipped["empty texts"] += 1
                continue
            yield Example(f"{file.name}:{row}", texts, self.labels[name], group)

    def _columns(self, file: Path, cells: list[str]) -> tuple[Columns, bool]:
        """Those of a file by its first row, and whether that is a header."""
        if self.plain and len(cells) == self.plain and cells[0] in self.labels:
            return Columns(self.plain, tuple(range(1, self.plain)), 0), False
        found = []
        for names in (*self.texts, self.label):
            places = [i for i, cell in enumerate(cells) if cell.strip() in names]
            if not places:
                told = " or ".join(names)
                if names is self.label:
                    told += " (a file for testing has none)"
                refuse(file, 1, f"has no column {told}; its header is {' '.join(cells)[:100]!r}")
            found.append(places[0])
        return Columns(len(cells), tuple(found[:-1]), found[-1]), True


SST2 = Table("sst2", [("sentence", "text_a")], ("label",), BINARY)
MNLI = Table(
    "mnli",
    [("sentence1", "premise"), ("sentence2", "hypothesis")],
    ("gold_label", "label"),
    ENTAILMENT,
    validation=("dev_matched.tsv", "dev_mismatched.tsv"),
    plain=3,
)
QQP = Table(
    "qqp", [("question1",), ("question2",)], ("is_duplicate",), BINARY, lenient=True,
)  # fmt: skip
