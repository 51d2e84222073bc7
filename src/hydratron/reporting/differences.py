"""What differs between runs: full dotted keys for files, short columns and labels for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

from hydratron.config.keys import carries, marked
from hydratron.reporting.formats import setting, settings
from hydratron.reporting.records import Run

# The other model.* keys (layernorm, dropout) are variants.
SHAPE = frozenset(marked("size"))
SEED = frozenset({"seed"})
# The micro-batch belongs to the degree: the global batch, which is compared, stays the same.
PARALLEL = frozenset(marked("axis") | marked("per_degree"))

# Where a run's weights and tokens come from, and what is to be said where each model has its own.
STARTS = {
    "init_from": "each from its own weights",
    "tokenizer.path": "each with its own tokenizer",
}

# As last parts of keys these say nothing alone, or something else.
VAGUE = frozenset({"kind", "model", "name", "parallel", "path", "paths", "source", "weights"})


def varying(runs: Sequence[Run]) -> list[str]:
    """The configuration keys that differ between the runs, in the order of the configuration."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    told = [key for key in keys if not carries(key, "derived")]
    return [key for key in told if len({_value(run, key) for run in runs}) > 1]


def compared(runs: Sequence[Run]) -> list[str]:
    """Those of `varying` that may change what is learned or how fast."""
    return [key for key in varying(runs) if not carries(key, "bookkeeping")]


def brought(runs: Sequence[Run]) -> dict[str, str]:
    """Those of STARTS that differ only where the model or the seed does: no option of their own."""
    differing = compared(runs)
    models = [key for key in differing if key.startswith("model.") or key in SEED]
    return {
        key: said
        for key, said in STARTS.items()
        if key in differing
        and follows(runs, key, lambda run: tuple(_value(run, k) for k in models))
    }


def shared(runs: Sequence[Run]) -> dict[str, str]:
    """The configuration keys that all runs have in common, with their values."""
    differing = {*varying(runs), *marked("derived")}
    return {k: setting(v) for k, v in runs[0].settings.items() if k not in differing}


def short_columns(
    runs: Sequence[Run], ignored: frozenset[str] = frozenset()
) -> dict[str, list[str]]:
    """Few columns that say the same as `varying`: column title -> one value per run.

    Keys that follow from the model's name or from the parallel degree are left out, and what each
    model brings along.
    """
    columns: dict[str, list[str]] = {}
    own = brought(runs)
    keys = [k for k in compared(runs) if k not in ignored and k not in own]
    named = titles(keys)
    for key in keys:
        if key == "model.name":
            columns["model"] = [run.model for run in runs]
        elif key in PARALLEL and len({run.parallel for run in runs}) > 1:
            columns["parallel"] = [run.parallel for run in runs]
            if carries(key, "per_degree") and not follows(runs, key, _degree):
                columns[named[key]] = _texts(runs, key)
        elif not _said(runs, key):
            columns[named[key]] = _texts(runs, key)
    return columns


def titles(keys: Sequence[str]) -> dict[str, str]:
    """A short title for each key: its last part, or all of it where that means another too."""
    ends = Counter(key.rsplit(".", 1)[-1] for key in keys)
    taken = {end for end, n in ends.items() if n > 1} | VAGUE
    return {key: key if (end := key.rsplit(".", 1)[-1]) in taken else end for key in keys}


def combined(columns: dict[str, list[str]], count: int) -> list[str]:
    """The columns as one label per run: `gpt_pico, placement pre`; empty without a column."""
    if not columns:
        return [""] * count
    rows = zip(*columns.values(), strict=True)
    return [", ".join(map(_named, columns, row)) for row in rows]


def groups(runs: Iterable[Run], ignored: frozenset[str]) -> list[list[Run]]:
    """Runs whose configurations differ in nothing but the ignored keys and bookkeeping."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        kept = {
            key: value
            for key, value in run.settings.items()
            if key not in ignored and not carries(key, "bookkeeping")
        }
        found.setdefault(json.dumps(kept, sort_keys=True, default=str), []).append(run)
    return list(found.values())


def contexts(found: Sequence[Sequence[Run]], ignored: frozenset[str]) -> list[str]:
    """What tells the groups apart, one text per group: `tp2, seed 1`; empty for a single group."""
    return combined(short_columns([group[0] for group in found], ignored), len(found))


def _value(run: Run, key: str) -> str:
    return run.texts.get(key, "null")


def _texts(runs: Sequence[Run], key: str) -> list[str]:
    distinct = {_value(run, key): run.settings.get(key) for run in runs}
    text_of = dict(zip(distinct, settings([*distinct.values()]), strict=True))
    return [text_of[_value(run, key)] for run in runs]


def _named(title: str, value: str) -> str:
    """A model and a degree need no word before them."""
    return value if title in ("model", "parallel") else f"{title} {value}"


def _said(runs: Sequence[Run], key: str) -> bool:
    """Whether the name of the model says it, or the weights that a run starts from."""
    if key == "tokenizer.path":
        return follows(runs, key, lambda run: _value(run, "init_from"))
    return key.startswith("model.") and follows(runs, key, _name)


def _name(run: Run) -> str:
    return run.model


def _degree(run: Run) -> str:
    return run.parallel


def follows(runs: Sequence[Run], key: str, label: Callable[[Run], Hashable]) -> bool:
    """Whether the label alone decides the value of the key."""
    return len({(label(run), _value(run, key)) for run in runs}) == len(
        {label(run) for run in runs}
    )
