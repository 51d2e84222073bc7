"""Fine-tuned encoders, pretrained and not, beside the paper's, and what they say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath
from statistics import median
from typing import Any, NamedTuple

import pandas as pd

from hydratron.reporting.estimate import estimate
from hydratron.reporting.verdict import Claim, Verdict, paired, weakest
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.figure import Analysis

from .drawn import figure

PLACE = "model.layernorm.placement"
ACCURACY, F1, LOSS, MAJORITY = "val/accuracy", "val/f1", "val/loss", "val/majority_accuracy"
PRETRAIN, SST2 = "pretrain", "sst2"
PAIRED = {"mnli": ACCURACY, "race": ACCURACY, "squad2": F1}


class Encoder(NamedTuple):
    """What was fine-tuned on a task; `blocks` weights in its layers."""

    task: str
    blocks: int
    model: str
    place: str
    pretrained: bool

    @property
    def label(self) -> str:
        return f"{self.model}, {self.place}-LN"


BySeed = dict[int, float]
Finals = Mapping[Encoder, BySeed]


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per validation of every run."""
    tuned = frame[frame["task"] != PRETRAIN].copy()
    accuracy, loss, largest = (finals(tuned, key) for key in (ACCURACY, LOSS, MAJORITY))
    ours = {e: v for e, v in accuracy.items() if e.task == SST2 and from_ours(tuned, e)}
    verdicts = list(_of_ours(criteria, ours, loss, largest))
    theirs = {e: v for e, v in accuracy.items() if e not in ours}
    scores = theirs | {e: v for e, v in finals(tuned, F1).items() if e.task in PAIRED}
    for name, task in (("imported", SST2), *((task, task) for task in PAIRED)):
        found = {e: v for e, v in scores.items() if e.task == task}
        if found and "imported" in criteria["claims"] and any(e.pretrained for e in found):
            verdicts.append(_gains(Claim.of(criteria, name), found, 100))
    notes = [*_gap(ours, criteria["paper"]), *diverged_notes(frame)]
    every = accuracy | {e: v for e, v in finals(tuned, F1).items() if e.task in PAIRED}
    majority = next((v for by in largest.values() for v in by.values()), math.nan)
    drawing = figure(ours, {e: loss[e] for e in ours if e in loss}, majority)
    return Analysis(
        drawing, _table(frame, every, loss, largest, criteria["paper"]), verdicts, notes
    )


def finals(tuned: pd.DataFrame, key: str) -> dict[Encoder, BySeed]:
    """The last value of every fine-tuning by encoder and seed, or fold; nan where it diverged."""
    found: dict[Encoder, BySeed] = {}
    if key not in tuned:
        return found
    for run in runs(tuned):
        last = run.dropna(subset=[key]).sort_values("step").tail(1)
        diverged = run["status"].iloc[0] == "diverged"
        if len(last) or diverged:
            value = math.nan if diverged else float(last[key].iloc[0])
            found.setdefault(encoder(run), {})[seed(run)] = value
    order = sorted(found, key=lambda e: (e.task, e.blocks, e.model, e.place, e.pretrained))
    return {e: dict(sorted(found[e].items())) for e in order}


def runs(tuned: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of one fine-tuning after the other; names repeat from stage to stage."""
    keys = ["task", "run", "model", PLACE, "seed", "init_from", "data.path"]
    for _, run in tuned.groupby([k for k in keys if k in tuned], dropna=False, sort=False):
        yield run


def encoder(run: pd.DataFrame) -> Encoder:
    first = run.iloc[0]
    pretrained = isinstance(first["init_from"], str) and bool(first["init_from"])
    sizes = str(first["task"]), int(first["blocks"])
    return Encoder(*sizes, str(first["model"]), str(first[PLACE]), pretrained)


def seed(run: pd.DataFrame) -> int:
    """That of the run, or the number of its fold: the last part of its folder."""
    last = PurePosixPath(str(run["data.path"].iloc[0])).name if "data.path" in run else ""
    return int(last) if last.isdigit() else int(run["seed"].iloc[0])


def from_ours(tuned: pd.DataFrame, one: Encoder) -> bool:
    """Whether some run of this network started from a job of the artifact."""
    same = tuned[(tuned["model"] == one.model) & (tuned[PLACE] == one.place)]
    return any("/pretrained" in str(start) for start in same["init_from"])


def _of_ours(
    criteria: Mapping[str, Any], ours: Finals, loss: Finals, largest: Finals
) -> Iterator[Verdict]:
    pretrained = {e: v for e, v in ours.items() if e.pretrained}
    above = {
        e.label: {s: _sure(100 * (v - largest[e].get(s, math.nan))) for s, v in found.items()}
        for e, found in pretrained.items()
    }
    ends = ", ".join(f"{e.label} {100 * _mean(v):.1f} %" for e, v in pretrained.items())
    yield replace(weakest(Claim.of(criteria, "majority"), above), ours=ends)
    yield _gains(Claim.of(criteria, "pretraining"), ours, 100)
    lower = {e: {s: -v for s, v in loss[e].items()} for e in ours if e in loss}
    yield _gains(Claim.of(criteria, "loss"), lower, 1)
    sizes = [e for e in pretrained if e.place == "pre"]
    steps = {
        f"{small.model} to {large.model}": _percent(pretrained[large], pretrained[small])
        for small, large in pairwise(sizes)
    }
    yield replace(weakest(Claim.of(criteria, "sizes"), steps), ours=ends)
    places = {
        e.model: _percent(pretrained[e], pretrained[e._replace(place="post")])
        for e in sizes
        if e._replace(place="post") in pretrained
    }
    yield weakest(Claim.of(criteria, "placement"), places)


def _gains(claim: Claim, found: Finals, scale: float) -> Verdict:
    """What pretraining adds to every encoder; the least sure decides."""
    gaps = {
        e.label: {
            s: _sure(scale * gap)
            for s, gap in paired(found[e], found[e._replace(pretrained=False)]).items()
        }
        for e in found
        if e.pretrained and e._replace(pretrained=False) in found
    }
    return weakest(claim, gaps)


def _percent(first: BySeed, second: BySeed) -> BySeed:
    return {s: _sure(100 * gap) for s, gap in paired(first, second).items()}


def _sure(gap: float) -> float:
    """A run that diverged counts against the claim, whichever of the two it was."""
    return -math.inf if math.isnan(gap) else gap


def _mean(found: BySeed) -> float:
    return estimate([v for v in found.values() if math.isfinite(v)]).value


def _gap(ours: Finals, paper: Mapping[str, Any]) -> list[str]:
    """How far these encoders are from the published ones."""
    name, published = next(iter(paper["models"].items()))
    largest = max((e.blocks for e in ours), default=0)
    if not largest:
        return []
    return [
        f"the smallest published model, {name}, has {float(published['blocks']) / largest:,.0f}"
        " times the block weights of the largest of ours: numbers are not comparable with the"
        " paper's, which has no SST-2; the signs of differences are all that is judged"
    ]


def _table(
    frame: pd.DataFrame, every: Finals, loss: Finals, largest: Finals, paper: Mapping[str, Any]
) -> pd.DataFrame:
    """A row for each encoder and start, with half of each interval; below them the paper's."""
    rows: list[dict[str, Any]] = []
    for e, found in every.items():
        values = [100 * v for v in found.values() if math.isfinite(v)]
        losses = [v for v in loss.get(e, {}).values() if math.isfinite(v)]
        mean, cost = estimate(values), estimate(losses)
        majority = [100 * v for v in largest.get(e, {}).values() if math.isfinite(v)]
        rows.append(
            {
                "task": e.task,
                "encoder": e.label,
                "block weights": e.blocks,
                "start": "pretrained" if e.pretrained else "random weights",
                "pretraining loss": _pretraining(frame, e),
                "seeds": len(found),
                "score, %": mean.value,
                "± 95 %": _half(mean.half),
                "median": median(values) if values else math.nan,
                "largest class": estimate(majority).value,
                "loss": cost.value,
                "loss ±": _half(cost.half),
            }
        )
    for model, published in paper["models"].items():
        for task in ("mnli", "qqp", "squad1", "squad2", "race"):
            rows.append(
                {
                    "task": task,
                    "encoder": f"paper, {model}",
                    "block weights": round(float(published["blocks"])),
                    "start": "pretrained",
                    "median": published[task],
                }
            )
    return pd.DataFrame(rows)


def _pretraining(frame: pd.DataFrame, e: Encoder) -> float:
    """The masked loss at the end of the pretraining that it started from, in nats."""
    if not e.pretrained or "val/mlm_loss" not in frame:
        return math.nan
    same = (frame["task"] == PRETRAIN) & (frame["model"] == e.model) & (frame[PLACE] == e.place)
    logged = frame[same].dropna(subset=["val/mlm_loss"]).sort_values("step")
    return float(logged["val/mlm_loss"].iloc[-1]) if len(logged) else math.nan


def _half(value: float | None) -> float:
    return math.nan if value is None else value
