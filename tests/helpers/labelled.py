"""Labelled files as they are published, made up so that a tiny model can learn them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WORDS = [
    *("good", "bad", "film", "story", "people", "liberty", "union", "states", "because", "never"),
    *("always", "seldom", "rather", "often", "river", "stone", "house", "light", "water", "green"),
]
RIGHT = {"good": 1, "bad": 0}


def labelled_files(folder: Path, task: str, train: int = 70, validation: int = 21) -> Path:
    """The folder that `data.path` names."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    MAKERS[task](folder, random, {"train": train, "dev": validation})
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, ".", "?"]) + "\n"
    )
    return folder


def _text(random: Any, least: int = 2, most: int = 14) -> list[str]:
    return [str(word) for word in random.choice(WORDS[2:], size=int(random.integers(least, most)))]


def _sst2(folder: Path, random: Any, sizes: dict[str, int]) -> None:
    for part, size in sizes.items():
        rows = ["sentence\tlabel"]
        for _ in range(size):
            word = str(random.choice(["good", "bad"]))
            rows.append(f"{' '.join([word, *_text(random)])} \t{RIGHT[word]}")
        (folder / f"{part}.tsv").write_text("\n".join(rows) + "\n")


def _race(folder: Path, random: Any, sizes: dict[str, int]) -> None:
    for part, size in sizes.items():
        for number in range(size // 3):
            level = ("middle", "high")[number % 2]
            place = folder / part / level
            place.mkdir(parents=True, exist_ok=True)
            options = [[*map(str, random.permutation(WORDS[2:6]))] for _ in range(3)]
            answers = ["ABCD"[int(random.integers(4))] for _ in options]
            content = {
                "id": f"{level}{number}.txt",
                "article": " ".join(_text(random, 6, 30)),
                "questions": ["never _ river ?", "often ?", "always green ?"],
                "options": options,
                "answers": answers,
            }
            (place / f"{number}.txt").write_text(json.dumps(content))


def _squad2(folder: Path, random: Any, sizes: dict[str, int]) -> None:
    for part, size in sizes.items():
        paragraphs = []
        for number in range(size):
            words = _text(random, 8, 150 if number % 5 == 0 else 30)
            context, at = " ".join(words), int(random.integers(len(words) - 2))
            start = len(" ".join(words[:at])) + bool(at)
            answer = {"text": " ".join(words[at : at + 2]), "answer_start": start}
            impossible = number % 3 == 0
            answers = [] if impossible else [answer]
            question = {
                "id": f"{part}{number}", "question": f"{words[at]} ?", "answers": answers,
                "is_impossible": impossible,
            }  # fmt: skip
            paragraphs.append({"context": context, "qas": [question]})
        content = {"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]}
        (folder / f"{part}-v2.0.json").write_text(json.dumps(content))


MAKERS = {"sst2": _sst2, "race": _race, "squad2": _squad2}
