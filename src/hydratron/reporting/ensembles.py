"""Fine-tunings under several seeds: their median, and what they say together.

As the paper reports them (section 5.3): the median over the seeds of what validates, and of the
runs as one the mean of their softmax.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from hydratron.reporting.metrics import METRICS
from hydratron.reporting.records import Run
from hydratron.reporting.seeds import seed_groups

PREDICTIONS = "predictions.jsonl"


def ensemble_notes(runs: Sequence[Run]) -> list[str]:
    """A line for each fine-tuning of two or more seeds that are completed."""
    own = [row for row in METRICS if row.first]
    done = [run for run in runs if run.status == "completed"]
    tuned = [run for run in done if any(run.final(row.name) is not None for row in own)]
    notes = []
    for group in seed_groups(tuned):
        for row in own:
            values = [value for run in group.runs if (value := run.final(row.name)) is not None]
            if len(values) < 2:
                continue
            told = f"{row.title}, median of {len(values)} seeds {median(values):.2%}"
            together = ensemble([run.folder for run in group.runs])
            if together is not None:
                told += f", as an ensemble (mean of softmax) {together:.2%}"
            notes.append(f"{group.label}: {told}")
    return notes


def ensemble(folders: Sequence[Path]) -> float | None:
    """The accuracy of the mean of what the jobs in the folders say of each example.

    None where a job left no probabilities, or they are not of the same examples.
    """
    examples: list[tuple[str, str]] = []
    total, classes = np.zeros((0, 0)), [""]
    for folder in folders:
        try:
            text = (folder / PREDICTIONS).read_text(encoding="utf-8")
            rows = [json.loads(line) for line in text.splitlines()]
            said = np.array([[*row["probabilities"].values()] for row in rows], float)
            own = [(row["id"], row["label"]) for row in rows]
            names = [*rows[0]["probabilities"]]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        if not examples:
            examples, total, classes = own, said, names
        elif (own, names) != (examples, classes):
            return None
        else:
            total = total + said
    told = [classes[best] for best in total.argmax(axis=1)]
    labels = [label for _, label in examples]
    return sum(map(str.__eq__, told, labels)) / len(labels) if labels else None
