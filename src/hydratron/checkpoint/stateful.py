"""Any object with state_dict and load_state_dict as a participant: callbacks, schedulers, yours."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.stateful import Stateful as HasState

from hydratron.checkpoint.participant import Saved

# What JSON has no word for, or would change: a dictionary with this key says what it stands for.
TAG = "__kind__"
KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (tuple, set, dict, OrderedDict, Counter, float)
}


class Stateful:
    """Nested containers become `tree`, tensors `state/KEY/KEY...`; these come back on the CPU."""

    def __init__(self, wrapped: HasState) -> None:
        self.wrapped = wrapped

    def state(self) -> dict[str, Any]:
        leaves: dict[str, Any] = {}
        return {"tree": _pack(self.wrapped.state_dict(), "state", leaves), **leaves}

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        return {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in saved.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.wrapped.load_state_dict(_unpack(state["tree"], state))


def _pack(value: Any, path: str, leaves: dict[str, Any]) -> Any:
    """A JSON value; `leaves` takes by their path the tensors, and what nobody can save."""
    if isinstance(value, float) and not math.isfinite(value):
        return {TAG: "float", "of": str(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    if type(value) is list:
        return [_pack(item, f"{path}/{i}", leaves) for i, item in enumerate(value)]
    if type(value) is dict and all(isinstance(k, str) and k != TAG for k in value):
        return {key: _pack(item, f"{path}/{key}", leaves) for key, item in value.items()}
    kind = type(value).__name__
    if KINDS.get(kind) is type(value):
        items = [*(value.items() if isinstance(value, dict) else value)]
        return {TAG: kind, "of": _pack(items, path, leaves)}
    while path in leaves:
        path += "'"
    leaves[path] = value
    return {TAG: "leaf", "of": path}


def _unpack(value: Any, leaves: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, leaves) for item in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: _unpack(item, leaves) for key, item in value.items()}
    if value[TAG] == "leaf":
        return leaves[value["of"]]
    kind, items = KINDS[value[TAG]], _unpack(value["of"], leaves)
    return kind(dict(items)) if issubclass(kind, dict) else kind(items)
