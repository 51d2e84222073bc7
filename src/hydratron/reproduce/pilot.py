"""The learning rate of each size from a committed pilot on other seeds."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from hydratron.errors import HydratronError

COLUMNS = ("model", "optim.lr", "seed", "val/loss")


def best_rates(path: Path, models: tuple[str, ...]) -> dict[str, float]:
    """The rate with the lowest mean final `val/loss` over the pilot's seeds, for each model.

    A rate at which a run diverged, with a loss that is empty or not finite, is not chosen; nor is
    one that fewer seeds tried than others.  Raises HydratronError in one line: no file, other
    columns, a model without a rate.
    """
    losses = _losses(path)
    best = {}
    for model in models:
        tried = {rate: found for (name, rate), found in losses.items() if name == model}
        seeds = max(map(len, tried.values()), default=0)
        whole = {
            rate: sum(found) / len(found)
            for rate, found in tried.items()
            if len(found) == seeds and all(map(math.isfinite, found))
        }
        if not whole:
            raise HydratronError(f"{path}: no finished rate for {model}")
        best[model] = min(sorted(whole), key=whole.__getitem__)
    return best


def _losses(path: Path) -> dict[tuple[str, float], list[float]]:
    """The final losses of each (model, rate)."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise HydratronError(f"{path}: the columns {', '.join(COLUMNS)} are expected")
            found: dict[tuple[str, float], list[float]] = {}
            for row in reader:
                key = row["model"], float(row["optim.lr"])
                found.setdefault(key, []).append(float(row["val/loss"] or "nan"))
    except FileNotFoundError:
        raise HydratronError(f"{path}: no pilot: it gives each size its learning rate") from None
    except ValueError as error:
        raise HydratronError(f"{path}: {error}") from None
    return found
