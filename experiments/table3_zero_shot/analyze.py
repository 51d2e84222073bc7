"""Zero-shot scores of several GPT sizes beside the paper's, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pandas as pd

from hydratron.reporting.estimate import estimate
from hydratron.reporting.palette import on_white
from hydratron.reporting.verdict import Claim, Verdict, weakest
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.figure import Analysis, Figure, Line, Panel

PERPLEXITY = "eval/wikitext103/perplexity"
ACCURACY = "eval/lambada/accuracy"
TARGET = "eval/lambada/target_perplexity"
TASKS = {"wikitext103": "WikiText103", "lambada": "LAMBADA"}
Scores = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Sizes:
    """The models from the smallest on, and a metric's values by model and seed; nan: diverged."""

    models: Sequence[str]
    blocks: Mapping[str, int]
    values: Mapping[str, Scores]


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row for the evaluations of every run."""
    sizes = _sizes(frame)
    verdicts = [
        _larger_is_better(Claim.of(criteria, "wikitext"), sizes, PERPLEXITY, _log, -1),
        _larger_is_better(Claim.of(criteria, "accuracy"), sizes, ACCURACY, _percent, 1),
        _larger_is_better(Claim.of(criteria, "target"), sizes, TARGET, _log, -1),
    ]
    paper = criteria["paper"]
    notes = [*_gap(frame, sizes, paper), *_overlaps(frame, paper), *diverged_notes(frame)]
    return Analysis(_figure(sizes, paper), _table(frame, sizes, paper), verdicts, notes)


def _sizes(frame: pd.DataFrame) -> Sizes:
    ordered = frame.sort_values("blocks", kind="stable")
    models = [str(model) for model in ordered["model"].drop_duplicates()]
    blocks = {m: int(frame.loc[frame["model"] == m, "blocks"].iloc[0]) for m in models}
    values: dict[str, Scores] = {}
    for key in (PERPLEXITY, ACCURACY, TARGET):
        values[key] = {model: {} for model in models}
        for model, seed, status, value in frame[["model", "seed", "status", key]].to_numpy():
            found = math.nan if status == "diverged" else float(value)
            values[key][str(model)][int(seed)] = found
    return Sizes(models, blocks, values)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def _percent(value: float) -> float:
    return 100 * value


def _larger_is_better(claim: Claim, sizes: Sizes, key: str, scale: Any, sign: int) -> Verdict:
    """Every step in size, of the seeds that have both: the least sure decides."""
    gaps = {}
    for small, large in pairwise(sizes.models):
        first, second = sizes.values[key][small], sizes.values[key][large]
        both = sorted(first.keys() & second.keys())
        steps = {seed: sign * (scale(second[seed]) - scale(first[seed])) for seed in both}
        # A run that diverged counts against the claim, whichever it was.
        told = f"{small} to {large}"
        gaps[told] = {seed: -math.inf if math.isnan(v) else v for seed, v in steps.items()}
    verdict = weakest(claim, gaps)
    means = [_mean(sizes.values[key][model]) for model in sizes.models]
    shown = [f"{100 * m:.2f} %" if key == ACCURACY else f"{m:,.4g}" for m in means]
    return replace(verdict, ours=f"{', '.join(sizes.models)}: {', '.join(shown)}")


def _mean(found: Mapping[int, float]) -> float:
    return estimate([v for v in found.values() if math.isfinite(v)]).value


def _gap(frame: pd.DataFrame, sizes: Sizes, paper: Mapping[str, Any]) -> list[str]:
    """How far these models are from the published ones."""
    name, published = next(iter(paper["models"].items()))
    weights = float(published["blocks"]) / max(sizes.blocks.values())
    tokens = float(paper["tokens"]) / float(frame["tokens"].max())
    return [
        f"the smallest published model, {name}, has {weights:,.0f} times the block weights of the"
        f" largest here and read {tokens:,.0f} times the tokens: numbers are not comparable with"
        " the paper's, the order of the sizes is all that is judged"
    ]


def _overlaps(frame: pd.DataFrame, paper: Mapping[str, Any]) -> list[str]:
    notes = []
    for task, name in TASKS.items():
        found = frame.get(f"overlap/{task}", pd.Series(dtype=float)).dropna()
        if len(found):
            most = float(paper["overlap"][task])
            notes.append(
                f"8-grams of {name} that the training text has: {100 * found.max():.3g} %"
                f" (paper: at most {100 * most:.3g} %)"
            )
    return notes


def _table(frame: pd.DataFrame, sizes: Sizes, paper: Mapping[str, Any]) -> pd.DataFrame:
    """One row per size, with half of each interval; below them the paper's."""
    rows: list[dict[str, Any]] = []
    for model in sizes.models:
        own = frame[frame["model"] == model]
        row: dict[str, Any] = {
            "model": model,
            "block weights": sizes.blocks[model],
            "learning rate": own["optim.lr"].iloc[0],
            "tokens": own["tokens"].max(),
            "seeds": len(own),
        }
        columns = (
            (PERPLEXITY, "WikiText103 perplexity", 1),
            (ACCURACY, "LAMBADA accuracy, %", 100),
            (TARGET, "LAMBADA target perplexity", 1),
        )
        for key, title, scale in columns:
            values = [scale * v for v in sizes.values[key][model].values() if math.isfinite(v)]
            found = estimate(values)
            row[title] = found.value
            row[f"{title} ±"] = math.nan if found.half is None else found.half
        rows.append(row)
    for model, published in paper["models"].items():
        rows.append(
            {
                "model": f"paper, {model}",
                "block weights": round(float(published["blocks"])),
                "tokens": round(float(paper["tokens"])),
                "WikiText103 perplexity": published["perplexity"],
                "LAMBADA accuracy, %": published["accuracy"],
            }
        )
    return pd.DataFrame(rows)


def _figure(sizes: Sizes, paper: Mapping[str, Any]) -> Figure:
    models = list(paper["models"].values())
    published = [float(m["blocks"]) for m in models]
    perplexities = [float(m["perplexity"]) for m in models]
    accuracies = [float(m["accuracy"]) for m in models]
    x = "block weights"
    return Figure(
        "Zero-shot scores by size, beside the published ones",
        [
            Panel(
                "WikiText103", x, "perplexity, by words",
                _lines(sizes, PERPLEXITY, 1, published, perplexities), x_log=True, y_log=True,
            ),
            Panel(
                "LAMBADA", x, "perplexity of the last word", _lines(sizes, TARGET, 1), x_log=True,
                y_log=True,
            ),
            Panel(
                "LAMBADA", x, "accuracy, %", _lines(sizes, ACCURACY, 100, published, accuracies),
                x_log=True,
            ),
        ],
    )  # fmt: skip


def _lines(
    sizes: Sizes, key: str, scale: float, x: Sequence[float] = (), y: Sequence[float] = ()
) -> list[Line]:
    """Means over the seeds, each seed as a point, and the paper's values."""
    ours, theirs = on_white(["here", "paper"])
    at = [float(sizes.blocks[model]) for model in sizes.models]
    lines = [Line("here", at, [scale * _mean(sizes.values[key][m]) for m in sizes.models], ours)]
    for model, place in zip(sizes.models, at, strict=True):
        values = [scale * v for v in sizes.values[key][model].values()]
        lines.append(Line("", [place] * len(values), values, ours, marks=True))
    if x:
        lines += [Line("paper", x, y, theirs, dashed=True), Line("", x, y, theirs, marks=True)]
    return lines
