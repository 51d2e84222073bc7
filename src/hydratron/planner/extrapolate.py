"""From two and four layers to any number: layers are alike, so all but the update is a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from hydratron.errors import HydratronError
from hydratron.planner.dry_run import Recorded
from hydratron.planner.recorder import UPDATE, Collective

SHALLOW, DEEP = 2, 4
_LAYER = re.compile(r"layers\.(\d+)")
Moment = tuple[str, str]


@dataclass(frozen=True)
class Work:
    """All calls of one operation in one module and phase, per step; every layer together."""

    phase: str
    module: str
    operation: str
    calls: float
    flops: float
    bytes: float


@dataclass(frozen=True)
class Step:
    """One optimizer step of one rank, at the job's own depth."""

    collectives: tuple[Collective, ...]
    work: tuple[Work, ...]
    peaks: Mapping[Moment, Counter[str]]
    parameters: int
    model_parameters: int


def whole(recorded: Recorded) -> Step:
    """What was recorded at full depth."""
    return Step(
        recorded.collectives,
        tuple(Work(*key, *sums) for key, sums in _work(recorded).items()),
        recorded.peaks,
        recorded.parameters,
        recorded.model_parameters,
    )


def extrapolated(shallow: Step, deep: Step, update: Step, num_layers: int) -> Step:
    """From steps of two and of four layers, and the update alone at full depth.

    The update is no line in the depth: gradients of several layers share a bucket.
    Raises HydratronError where four layers are not what two foretell.
    """
    own = [c for c in shallow.collectives if c.phase != UPDATE]
    if [c for c in deep.collectives if c.phase != UPDATE] != with_layers(own, DEEP):
        raise HydratronError("plan: layers differ from each other; plan.full=true counts each one")
    first, second = _sums(shallow.work), _sums(deep.work)
    work = [
        Work(*key, *_lines(first.get(key, _NONE), second.get(key, _NONE), num_layers))
        for key in dict.fromkeys([*first, *second])
        if key[0] != UPDATE
    ]
    low, high = _ends(shallow.peaks, SHALLOW), _ends(deep.peaks, DEEP)
    peaks = {
        _renamed(moment, num_layers): Counter(
            {
                kind: round(_line(low[moment][kind], high[moment][kind], num_layers))
                for kind in {*low[moment], *high[moment]}
            }
        )
        for moment in low.keys() & high.keys()
    }
    # Those of a step that come before its first forward.
    first_calls = next((i for i, c in enumerate(shallow.collectives) if c.phase != UPDATE), 0)
    before, after = update.collectives[:first_calls], update.collectives[first_calls:]
    return Step(
        (*before, *with_layers(own, num_layers), *after),
        (*work, *update.work),
        {**peaks, **update.peaks},
        update.parameters,
        update.model_parameters,
    )


def with_layers(calls: Sequence[Collective], num_layers: int) -> list[Collective]:
    """The calls of a network of two layers as those of one with more, in the order they come."""
    blocks = [(layer, list(run)) for layer, run in groupby(calls, key=_layer)]
    found: list[Collective] = []
    for place, (layer, block) in enumerate(blocks):
        if layer != SHALLOW - 1:
            found += block
            continue
        upwards = place > 0 and blocks[place - 1][0] == 0
        layers = range(1, num_layers) if upwards else reversed(range(1, num_layers))
        for number in layers:
            found += [replace(c, module=_LAYER.sub(f"layers.{number}", c.module)) for c in block]
    return found


def renumbered(step: Step, by: int) -> Step:
    """The step with `by` added to the number of every layer."""

    def named(module: str) -> str:
        return _LAYER.sub(lambda found: f"layers.{int(found[1]) + by}", module)

    return replace(
        step,
        collectives=tuple(replace(c, module=named(c.module)) for c in step.collectives),
        peaks={(phase, named(module)): held for (phase, module), held in step.peaks.items()},
    )


def pattern(module: str) -> str:
    """`layers.3.mlp` -> `layers.*.mlp`."""
    return _LAYER.sub("layers.*", module)


_NONE = (0.0, 0.0, 0.0)


def _layer(call: Collective) -> int | None:
    found = _LAYER.match(call.module)
    return int(found[1]) if found else None


def _work(recorded: Recorded) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    return _sums(
        Work(k.phase, pattern(k.module), k.operation, times, times * k.flops, times * k.bytes)
        for k, times in recorded.kernels.items()
    )


def _sums(work: Iterable[Work]) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    found: dict[tuple[str, str, str], tuple[float, float, float]] = {}
    for one in work:
        key = one.phase, one.module, one.operation
        calls, flops, moved = found.get(key, _NONE)
        found[key] = calls + one.calls, flops + one.flops, moved + one.bytes
    return found


def _line(shallow: float, deep: float, num_layers: int) -> float:
    return shallow + (deep - shallow) * (num_layers - SHALLOW) / (DEEP - SHALLOW)


def _lines(
    shallow: tuple[float, ...], deep: tuple[float, ...], num_layers: int
) -> tuple[float, float, float]:
    calls, flops, moved = (_line(a, b, num_layers) for a, b in zip(shallow, deep, strict=True))
    return calls, flops, moved


def _ends(peaks: Mapping[Moment, Counter[str]], depth: int) -> dict[Moment, Counter[str]]:
    """The peaks in the first and the last layer, which are called 0 and 1, and outside of them.

    Between both ends of a stack of equal layers memory only grows, or only shrinks.
    """
    names = {f"layers.{depth - 1}": "layers.1", "layers.0": "layers.0"}
    found = {}
    for (phase, module), held in peaks.items():
        layer = _LAYER.match(module)
        if layer is None:
            found[phase, module] = held
        elif layer[0] in names:
            found[phase, _LAYER.sub(names[layer[0]], module)] = held
    return found


def _renamed(moment: Moment, num_layers: int) -> Moment:
    phase, module = moment
    return phase, re.sub(r"^layers\.1\b", f"layers.{num_layers - 1}", module)
