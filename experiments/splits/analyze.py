"""Times, idle shares, bytes and memory of every way to split, beside the formulas and the plan."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from hydratron.planner.closed_form import bubble_share
from hydratron.reporting.estimate import estimate
from hydratron.reporting.verdict import Claim, Verdict, below_bound, direction
from hydratron.reproduce.figure import Analysis
from hydratron.reproduce.measured import COUNTS

from .figures import WAYS, four_figure, main_figure, plan_figure, time_figure

MIB, GIB = 2**20, 2**30
ONES = ("plain_2", "ours")
TP, DTENSOR = "plain_2-tp2", "dtensor_2-tp2"
GPIPE = "gpipe_{}-pp2"
PAIRED = re.compile(r"(gpipe|1f1b)_(\d+)-pp(\d+)")
STEPS = "mean and interval of Student's t over steps, which n counts"
ROUNDS = "mean and interval of Student's t over rounds of turns, which n counts"


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figures, table and verdicts from one row per turn and per count; or of plans alone."""
    if "plan/seconds" in frame:
        table = _plans(frame)
        return Analysis(plan_figure(table), table, [], [PLANNED])
    frame = frame.reindex(columns=[*frame.columns, *(c for c in COUNTS if c not in frame)])
    table = pd.DataFrame(sorted(_rows(frame), key=_place))
    more = {"time": time_figure(frame)}
    if (table["ranks"] > 2).any():
        more["four"] = four_figure(table[table["ranks"] > 2])
    first = main_figure(table[table["ranks"] <= 2])
    return Analysis(first, table, _verdicts(frame, table, criteria), _notes(frame), more)


PLANNED = (
    "Planned, not run: a step of one rank of each stage without data.  Memory is of the stage "
    "that holds the most; idle is (p - 1) / (m + p - 1) of the micro-batches' time."
)


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One for each contender; the baselines of all pairings are one."""
    for name, own in frame.groupby("contender", sort=False):
        name = str(name)
        ranks, counts = ranks_of(name), own[own["quantity"].notna()]
        who, _, degree = name.partition("-")
        way, _, micro_batches = who.rpartition("_")
        waits, given = shares(frame, name), _value(counts, "bytes", rank=0)
        piped = PAIRED.fullmatch(name)
        yield {
            "way": way or who,
            "degree": degree or "single",
            "micro-batches": int(micro_batches) if way else math.nan,
            "ranks": ranks,
            "ms": own["ms"].median(),
            "times as fast as one process": _speedup(frame, name),
            "idle": sum(waits) / len(waits) if waits else math.nan,
            "bubble": bubble_share(int(piped[3]), int(piped[2])) if piped else math.nan,
            "sending": _mean(counts, "sending"),
            "bytes given": given,
            "planned": _value(counts, "planned bytes"),
            "formula": _value(counts, "formula bytes"),
            "peak MiB": counts.loc[counts["quantity"] == "peak bytes", "value"].max() / MIB,
            "resident MiB": counts.loc[counts["quantity"] == "resident bytes", "value"].max() / MIB,
            "first loss": own["first_loss"].dropna().iloc[0],
        }


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """One process first, then the degrees and ways side by side."""
    degrees = ("single", "tp2", "dp2", "pp2")
    degree = degrees.index(row["degree"]) if row["degree"] in degrees else len(degrees)
    way = ORDER.index(row["way"]) if row["way"] in ORDER else len(ORDER)
    return row["ranks"], degree, way, row["micro-batches"]


ORDER = ("plain", "sequence", "dtensor", "zero", "gpipe", "1f1b")


def ranks_of(name: str) -> int:
    return math.prod(map(int, re.findall(r"\d+", name.partition("-")[2])))


def shares(frame: pd.DataFrame, name: str) -> list[float]:
    """The idle share of each watched step, the mean of its ranks."""
    own = frame[(frame["contender"] == name) & (frame["quantity"] == "waiting")]
    if own.empty:
        return []
    # A baseline stands in several pairings.
    found = own.groupby(["pairing", "step"], sort=False)["value"].mean()
    return [float(share) for share in found]


def _mean(counts: pd.DataFrame, quantity: str) -> float:
    return float(counts.loc[counts["quantity"] == quantity, "value"].mean())


def _value(counts: pd.DataFrame, quantity: str, rank: int = 0) -> float:
    """The sum of a quantity of one rank, in one of the pairings; `bytes` are those of all axes."""
    own = counts[counts["rank"] == rank]
    own = own[own["pairing"] == own["pairing"].min()]
    if own.empty:
        return math.nan
    wanted = own["quantity"].str.startswith(f"{quantity} ") | (own["quantity"] == quantity)
    return float(own.loc[wanted, "value"].sum()) if wanted.any() else math.nan


def _speedup(frame: pd.DataFrame, name: str) -> float:
    """The median over rounds of the time of one process over this one's."""
    found = [ratio for one in ONES for ratio in ratios(frame, one, name)]
    return float(pd.Series(found).median()) if found else math.nan


def ratios(frame: pd.DataFrame, over: str, name: str) -> list[float]:
    """Time of `over` / time of `name`, round by round of the pairings that have both."""
    found: list[float] = []
    timed = frame[frame["ms"].notna()]
    for _, pairing in timed.groupby("pairing", sort=False):
        times = pairing.pivot_table(index="round", columns="contender", values="ms")
        if {over, name} <= set(times):
            found += [float(x) for x in (times[over] / times[name]).dropna()]
    return found


def _verdicts(frame: pd.DataFrame, table: pd.DataFrame, criteria: dict[str, Any]) -> list[Verdict]:
    def claim(name: str) -> Claim:
        return Claim.of(criteria, name)

    two = shares(frame, GPIPE.format(2))
    slower = [1 / ratio - 1 for ratio in ratios(frame, TP, DTENSOR)]
    return [
        _same(frame, claim("same_model"), criteria["same"]),
        _above(claim("idle"), _less(two, shares(frame, TP)), STEPS),
        _above(claim("fewer"), _less(two, shares(frame, GPIPE.format(16))), STEPS),
        _bubbles(table, claim("bubble"), criteria["bubble"]),
        _primitives(frame, claim("primitives")),
        _few(frame, claim("few"), criteria["lines"]),
        _counted(table, claim("counted")),
        _above(claim("spmd"), slower, ROUNDS),
    ]


def _above(claim: Claim, values: list[float], method: str) -> Verdict:
    return replace(direction(claim, estimate(values)), method=method)


def _less(first: list[float], second: list[float]) -> list[float]:
    return [a - b for a, b in zip(first, second, strict=False)]


def _same(frame: pd.DataFrame, claim: Claim, bound: float) -> Verdict:
    values, details = [], []
    for model, rows in frame[frame["first_loss"].notna()].groupby("model", sort=False):
        one = rows[rows["contender"].isin(ONES)]
        if one.empty:
            continue
        for metric in ("first_loss", "grad_norm"):
            reference = float(one[metric].iloc[0])
            gaps = (rows.drop_duplicates("contender")[metric] - reference).abs() / reference
            values += [float(gap) for gap in gaps]
            details.append(f"{model}, {metric}: at most {gaps.max():.2g}")
    return below_bound(claim, values, bound, details)


def _bubbles(table: pd.DataFrame, claim: Claim, bound: float) -> Verdict:
    rows = table[table["bubble"].notna() & (table["ranks"] == 2) & table["idle"].notna()]
    details = [
        f"{way} at {count}: {idle:.3f}, by the formula {bubble:.3f}"
        for way, count, idle, bubble in zip(
            rows["way"], rows["micro-batches"], rows["idle"], rows["bubble"], strict=True
        )
    ]
    gaps = [float(gap) for gap in (rows["idle"] - rows["bubble"]).abs()]
    return below_bound(claim, gaps, bound, details)


def _primitives(frame: pd.DataFrame, claim: Claim) -> Verdict:
    own = frame[frame["contender"] == TP]
    counts = own[own["quantity"].notna()]
    if counts.empty:
        return below_bound(claim, [], 0.0)
    kinds = sorted(set(counts["quantity"]) & {f"calls tensor {kind}" for kind in OTHERS})
    found, wanted = _value(counts, "flowing calls"), _value(counts, "expected calls")
    details = [
        f"{found:.0f} all-reduces of [b, s, h] a step, of which 2 for each micro-batch are the "
        f"embedding's and the head's; expected {wanted:.0f}",
        f"other operations: {', '.join(kinds) or 'none'}",
    ]
    return below_bound(claim, [abs(found / wanted - 1), float(len(kinds))], 0.0, details)


OTHERS = ("all_gather", "reduce_scatter", "broadcast")


def _few(frame: pd.DataFrame, claim: Claim, bound: float) -> Verdict:
    lines = lines_of(frame)
    details = [f"{way}: {count:.0f} lines" for way, count in lines.items()]
    return below_bound(claim, [lines["f and g"]] if "f and g" in lines else [], bound, details)


def lines_of(frame: pd.DataFrame) -> dict[str, float]:
    """Lines of code by way, as they were when the runs were."""
    rows = frame[frame["quantity"].fillna("").str.startswith("lines ")]
    rows = rows.drop_duplicates("quantity")
    names = rows["quantity"].str.removeprefix("lines ")
    return {str(k): float(v) for k, v in zip(names, rows["value"], strict=True)}


def _counted(table: pd.DataFrame, claim: Claim) -> Verdict:
    rows = table[table["planned"].notna()]
    gaps = (rows["bytes given"] / rows["planned"] - 1).abs()
    details = [f"{len(rows)} jobs; the planner knows no DTensor"]
    return below_bound(claim, [float(gap) for gap in gaps], 0.0, details)


def _notes(frame: pd.DataFrame) -> list[str]:
    threads = int(frame["threads"].iloc[0])
    return [
        f"All ranks on one host, through gloo's loopback, {threads} thread(s) a rank.",
        "Idle: blocked until the last peer has come to the same call; sending: blocked after that.",
        "Bytes are what the first rank gives in a step; peak is of all tensors, resident of all.",
    ]


PEAK, WHOLE_PEAK = "plan/peak_", "plan/peak_bytes"


def _plans(frame: pd.DataFrame) -> pd.DataFrame:
    idle = frame.get("plan/idle_share", math.nan)
    size = frame["trainer.micro_batch_size"].astype(int)
    table = pd.DataFrame({"degree": frame["parallel"], "micro-batch": size})
    for way, key in WAYS.items():
        # A column of curves.csv is text where it is empty in some rows.
        table[way] = frame[key].astype(str) == "True" if key in frame else False
    table["seconds"] = frame["plan/seconds"]
    table["tensor share"], table["idle"] = frame["plan/tensor_share"], idle
    peaks = [name for name in frame if name.startswith(PEAK) and name != WHOLE_PEAK]
    for name in peaks:
        table[f"{name.removeprefix(PEAK)} GiB"] = frame[name] / GIB
    table["peak GiB"] = frame[WHOLE_PEAK] / GIB
    return table.sort_values(["micro-batch", *WAYS], kind="stable", ignore_index=True)
