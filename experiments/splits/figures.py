"""What the artifact draws: bars of what each way costs, and what ranks do in one step."""

from __future__ import annotations

import pandas as pd

from hydratron.reproduce.figure import Bars, Figure, TimeLine

# The ways of which a step is drawn, by contender.
DRAWN = {
    "gpipe_4-pp2": "pp2, GPipe, 4 micro-batches",
    "1f1b_4-pp2": "pp2, 1F1B, 4 micro-batches",
    "gpipe_2-pp2": "pp2, GPipe, 2 micro-batches",
    "plain_2-tp2": "tp2",
    "plain_1-dp2": "dp2",
    "dtensor_2-tp2": "tp2 by DTensor",
}
KINDS = ("computing", "sending", "waiting")
MOST, ACROSS = 6, 3


def label(row: pd.Series) -> str:
    """`gpipe 4`, `tp2 sequence`."""
    if row["way"] in ("gpipe", "1f1b"):
        return f"{row['degree']} {row['way']} {row['micro-batches']}"
    return row["degree"] if row["way"] == "plain" else f"{row['degree']} {row['way']}"


def main_figure(table: pd.DataFrame) -> Figure:
    """Time, idle share, bytes and memory of the ways on two processes."""
    names = [label(row) for _, row in table.iterrows()]
    split = table[table["ranks"] > 1]
    own = [label(row) for _, row in split.iterrows()]
    times = {"median": list(table["ms"])}
    idle, sent = {"measured": list(split["idle"])}, {"counted": list(split["bytes given"] / 2**20)}
    held = {"peak of all tensors": list(table["peak MiB"])}
    formula = {"(p - 1) / (m + p - 1)": list(split["bubble"])}
    due = {"formula": list(split["formula"] / 2**20), "planned": list(split["planned"] / 2**20)}
    return Figure(
        "Two processes, every way to split",
        [
            Bars("time of a step", "", "ms", names, times),
            Bars("idle share of a step", "", "of a step", own, idle, marks=formula),
        ],
        [
            Bars("given by the first rank in a step", "", "MiB", own, sent, marks=due),
            Bars("memory of a rank", "", "MiB", names, held),
        ],
    )


def four_figure(table: pd.DataFrame) -> Figure:
    """Bytes and memory on four processes, which two cores cannot time."""
    names = [label(row) for _, row in table.iterrows()]
    sent, held = list(table["bytes given"] / 2**20), list(table["peak MiB"])
    planned = {"planned": list(table["planned"] / 2**20)}
    return Figure(
        "Four processes: what is sent and held",
        [
            Bars("given by the first rank", "", "MiB", names, {"counted": sent}, marks=planned),
            Bars("memory of a rank", "", "MiB", names, {"peak of all tensors": held}),
        ],
    )


def time_figure(frame: pd.DataFrame) -> Figure:
    """What each rank does in the step of middle length."""
    found = [name for name in DRAWN if (frame["contender"] == name).any()]
    panels = [one for name in found if (one := _time_line(frame, name)) is not None]
    return Figure("What ranks do in a step", panels[:ACROSS], panels[ACROSS:MOST])


def _time_line(frame: pd.DataFrame, name: str) -> TimeLine | None:
    own = frame[(frame["contender"] == name) & frame["quantity"].fillna("").str.startswith("span")]
    if own.empty:
        return None
    own = own[own["pairing"] == own["pairing"].iloc[0]]
    length = float(own.loc[own["quantity"] == "span step", "end"].max())
    ranks = sorted({int(rank) for rank in own["rank"]})
    kinds: dict[str, list[tuple[int, float, float]]] = {}
    # What is neither sent nor waited for is computed.
    kinds["computing"] = [(row, 0.0, length) for row in range(len(ranks))]
    for kind in KINDS[1:]:
        rows = own[own["quantity"] == f"span {kind}"]
        kinds[kind] = [
            (ranks.index(int(rank)), float(begin), float(end))
            for rank, begin, end in zip(rows["rank"], rows["value"], rows["end"], strict=True)
        ]
    return TimeLine(DRAWN[name], "ms", [f"rank {rank}" for rank in ranks], kinds, length)


# Columns of a plan's table, and the settings that they are.
WAYS = {"sequence": "parallel.sequence_parallel", "zero": "parallel.distributed_optimizer"}


def plan_figure(table: pd.DataFrame) -> Figure:
    """Planned memory by kind, and the time of a step with what of it is idle; x: micro-batch."""
    names = [
        " ".join([f"{row['degree']} x{row['micro-batch']}", *(way for way in WAYS if row[way])])
        for _, row in table.iterrows()
    ]
    kinds = [name for name in table if name.endswith(" GiB") and name != "peak GiB"]
    held = {kind.removesuffix(" GiB"): list(table[kind]) for kind in kinds}
    idle = table["idle"].fillna(0.0) * table["seconds"]
    sums = table["tensor share"] * table["seconds"]
    time = {
        "the rest": list(table["seconds"] - idle - sums),
        "tensor group": list(sums),
        "idle": list(idle),
    }
    return Figure(
        "8.3 B on 8 GPUs, planned",
        [Bars("memory of the fullest rank", "", "GiB", names, held)],
        [Bars("a step", "", "seconds", names, time)],
    )
