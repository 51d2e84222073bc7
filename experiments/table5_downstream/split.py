"""Five folds of the small labelled files, by passage or article, for `--profile long`.

    python experiments/table5_downstream/split.py --mnli FILE --race FILE --squad2 FILE

writes outputs/eval/folds/TASK/1 to 5, each a folder for `data.path` with the task's official names.
The rule: an example validates in the fold sha256(group) % 5 + 1 and trains in the others; its group
is MNLI's premise, RACE's article or the title of SQuAD's, as UTF-8.  So no text is on both sides.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

FOLDS = 5
OUTPUT = Path("outputs/eval/folds")


def fold_of(group: str) -> int:
    """1 to FOLDS."""
    return int(hashlib.sha256(group.encode()).hexdigest(), 16) % FOLDS + 1


def folds(rows: Sequence[str], group: Callable[[str], str], names: tuple[str, str]) -> None:
    """Write the rows of each fold to its two files, lines as they are."""
    for fold in range(1, FOLDS + 1):
        inside = [fold_of(group(row)) == fold for row in rows]
        for name, validates in zip(names, (False, True), strict=True):
            chosen = [row for row, is_in in zip(rows, inside, strict=True) if is_in == validates]
            write(name.format(fold=fold), (f"{row}\n" for row in chosen))


def write(name: str, text: Iterable[str]) -> None:
    file = OUTPUT / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(text), encoding="utf-8")


def lines(file: Path) -> list[str]:
    return [row for row in file.read_text(encoding="utf-8").split("\n") if row.strip()]


def mnli(file: Path) -> None:
    """Rows of label, premise, hypothesis, without a header."""
    names = "mnli/{fold}/train.tsv", "mnli/{fold}/dev_matched.tsv"
    folds(lines(file), lambda row: row.split("\t")[1], names)


def race(file: Path) -> None:
    """A question a line, with its article."""
    names = "race/{fold}/train/middle/all.txt", "race/{fold}/dev/middle/all.txt"
    folds(lines(file), lambda row: str(json.loads(row)["article"]), names)


def squad2(file: Path) -> None:
    """An official file."""
    content = json.loads(file.read_text(encoding="utf-8"))
    for fold in range(1, FOLDS + 1):
        for part, validates in (("train", False), ("dev", True)):
            chosen = [a for a in content["data"] if (fold_of(a["title"]) == fold) == validates]
            text = json.dumps(content | {"data": chosen})
            write(f"squad2/{fold}/{part}-v2.0.json", [text])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    tasks = {"mnli": mnli, "race": race, "squad2": squad2}
    for name in tasks:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    for name, split in tasks.items():
        split(getattr(args, name))


if __name__ == "__main__":
    main()
