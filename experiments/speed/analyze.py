"""Ratios of the times of contenders that took turns, and whether they trained the same model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from hydratron.reporting.verdict import DIRECTION, Claim, Status, Verdict, below_bound
from hydratron.reproduce.figure import Analysis, Bars, Figure

PLACE = ["stage", "precision", "allocator"]
ABSENT = "absent"
TITLES = {"default": "allocator as it comes", "tuned": "allocator tuned alike"}
METHOD = (
    "median over rounds of the ratio of two turns, which n counts; the interval is of quartiles"
)
OURS = ("ours", "bare")


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per turn of every contender."""
    table = pd.DataFrame(list(_rows(frame)))
    verdicts = [_same_model(frame, criteria)]
    for name, goal in criteria.get("goals", {}).items():
        verdicts.append(_goal(Claim.of(criteria, name), frame, goal))
    absent = frame.loc[frame["status"] == ABSENT, "contender"].drop_duplicates()
    notes = [f"absent, its package is not installed: {name}" for name in absent]
    notes.append(
        "Times are medians of turns that alternate; what else the machine did falls on all."
    )
    two = {
        stage
        for stage, name in zip(frame["stage"], frame["contender"], strict=True)
        if _ranks(name)
    }
    one = _figure(table[~table["stage"].isin(two)], "A step beside plain PyTorch's, one process")
    more = {}
    if two:
        several = table[table["stage"].isin(two)]
        more["two"] = _figure(several, "A step over two processes beside one of plain PyTorch")
    return Analysis(one, table, verdicts, notes, more)


def ratios(frame: pd.DataFrame, goal: dict[str, Any]) -> list[float]:
    """Time of `over` / time of `contender`, round by round of the pairings that have both."""
    here = frame
    for column in PLACE:
        here = here[here[column] == goal[column]]
    found: list[float] = []
    for _, pairing in here.groupby("pairing", sort=False):
        times = pairing.pivot_table(index="round", columns="contender", values="ms")
        if {goal["contender"], goal["over"]} <= set(times):
            found += [float(x) for x in (times[goal["over"]] / times[goal["contender"]]).dropna()]
    return found


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One for each contender of each pairing."""
    for (*place, _), rows in frame.groupby([*PLACE, "pairing"], sort=False):
        where = dict(zip(PLACE, place, strict=True))
        base = rows["contender"].iloc[0]
        for name, own in rows.groupby("contender", sort=False):
            told = where | {"contender": name, "over": base, "status": own["status"].iloc[0]}
            times = own["ms"].dropna()
            both = ratios(rows, where | {"contender": name, "over": base})
            low, middle, high = _quartiles(both)
            yield told | {
                "ms": times.median(),
                "times as fast": middle,
                "quartile 1": low,
                "quartile 3": high,
                "rounds": len(both),
                "first loss": own["first_loss"].iloc[0],
                "memory MiB": own["memory_bytes"].iloc[0] / 2**20,
            }


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if not values:
        return math.nan, math.nan, math.nan
    low, middle, high = pd.Series(values).quantile([0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def _goal(claim: Claim, frame: pd.DataFrame, goal: dict[str, Any]) -> Verdict:
    """Whether the median ratio is at least the goal's."""
    found = ratios(frame, goal)
    if not found:
        details = ("not every contender was there",)
        return Verdict(claim, DIRECTION, Status.NOT_RUN, details=details)
    low, middle, high = _quartiles(found)
    status = Status.REPRODUCED if middle >= goal["least"] else Status.NOT_REPRODUCED
    return Verdict(claim, DIRECTION, status, middle, (low, high), len(found), METHOD)


def _same_model(frame: pd.DataFrame, criteria: dict[str, Any]) -> Verdict:
    """Every contender beside ours of the same stage; other models only beside ln(vocabulary)."""
    seen = frame[frame["first_loss"].notna()].drop_duplicates([*PLACE, "pairing", "contender"])
    far = (seen["first_loss"] - seen["vocabulary"].map(math.log)).abs()
    details = [f"farthest from ln(vocabulary): {far.max():.3g} nats"]
    values = [math.inf] if far.max() > criteria["near"] else []
    fp32 = seen[seen["precision"] == "fp32"]
    for model, rows in fp32.groupby("model", sort=False):
        mine = rows[rows["contender"].isin(OURS)]
        others = rows[~rows["contender"].isin([*OURS, *criteria["other_models"]])]
        if mine.empty:
            continue
        for metric in ("first_loss", "grad_norm"):
            reference = float(mine[metric].iloc[0])
            gaps = (rows_gap := (others[metric] - reference).abs() / abs(reference)).tolist()
            values += gaps
            details.append(f"{model}, {metric}: at most {rows_gap.max():.2g}")
    return below_bound(Claim.of(criteria, "same_model"), values, criteria["bound"], details)


def _ranks(name: str) -> bool:
    return "-" in name


def _figure(table: pd.DataFrame, title: str) -> Figure:
    """A panel for each allocator: how many times as fast as the first, by contender."""
    panels = []
    for allocator, rows in table.groupby("allocator", sort=False):
        rows = rows[rows["contender"] != rows["over"]]
        names = list(rows["contender"].drop_duplicates())
        stacks = {}
        for (stage, precision), own in rows.groupby(["stage", "precision"], sort=False):
            best = own[own["over"] == "nano"].drop_duplicates("contender").set_index("contender")
            values = [float(best["times as fast"].get(name, math.nan)) for name in names]
            stacks[f"{str(stage).split('_')[0]} {precision}"] = values
        label = "times as fast as plain PyTorch"
        panel = Bars(
            TITLES[str(allocator)], "", label, names, stacks, [(1.0, "plain PyTorch")], grouped=True
        )
        panels.append(panel)
    return Figure(title, panels)
