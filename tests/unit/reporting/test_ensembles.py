"""Fine-tunings under several seeds: the median, and all of them as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydratron.reporting.ensembles import ensemble, ensemble_notes
from hydratron.reporting.metrics import charts
from hydratron.reporting.records import Run

LABELS = ("no", "yes", "yes", "no")
# The probability of "yes" by run.  Each run is wrong once or twice, and their mean never.
SAID = ((0.6, 0.9, 0.8, 0.6), (0.1, 0.4, 0.9, 0.8), (0.2, 0.9, 0.45, 0.05))


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = []
    for seed, said in enumerate(SAID):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        rows = [
            {"id": f"dev.tsv:{i}", "label": label, "prediction": "yes" if p > 0.5 else "no",
             "probabilities": {"no": 1 - p, "yes": p}}
            for i, (label, p) in enumerate(zip(LABELS, said, strict=True))
        ]  # fmt: skip
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "predictions.jsonl").write_text(text, encoding="utf-8")
        made.append(folder)
    return made


def runs(folders: list[Path]) -> list[Run]:
    found = []
    for seed, (folder, accuracy) in enumerate(zip(folders, (0.5, 0.5, 0.75), strict=True)):
        result = {"status": "completed", "step": 1, "val/loss": 0.5, "val/accuracy": accuracy}
        rows = [{"step": 1, "val/loss": 0.5, "val/accuracy": accuracy}]
        found.append(Run(folder, {"model.name": "bert", "seed": seed}, rows, result))
    return found


def test_the_mean_of_softmax_and_the_median(folders: list[Path]) -> None:
    assert ensemble(folders) == 1.0
    (note,) = ensemble_notes(runs(folders))
    assert note.endswith(
        "Accuracy, median of 3 seeds 50.00%, as an ensemble (mean of softmax) 100.00%"
    )
    assert ensemble_notes(runs(folders)[:1]) == []


def test_predictions_of_other_examples_are_no_ensemble(folders: list[Path]) -> None:
    file = folders[1] / "predictions.jsonl"
    file.write_text(
        file.read_text(encoding="utf-8").replace("dev.tsv:2", "dev.tsv:9"), encoding="utf-8"
    )
    assert ensemble(folders) is None
    file.unlink()
    assert ensemble(folders) is None
    assert "ensemble" not in ensemble_notes(runs(folders))[0]


def test_a_tasks_own_chart_comes_first() -> None:
    names = [row.name for row in charts(["val/loss", "train/loss", "val/accuracy"])]
    assert names == ["val/accuracy", "val/loss", "train/loss"]
