"""Whatever a user's object keeps comes back as it was, or is refused by its name."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hydratron.checkpoint.stateful import Stateful
from tests.helpers.participants import NESTED, Callback


@pytest.mark.parametrize(
    "content",
    [
        NESTED,
        {"milestones": Counter({3: 2}), "order": OrderedDict(b=1, a=(2, [3.5]))},
        {"plain": {"a": [True, None, "x", 1, 1.5]}, "set": {1}, "inf": float("inf")},
        {"a/b": torch.ones(2), "a": {"b": torch.zeros(())}},
    ],
)
def test_it_comes_back_as_it_was(content: dict[str, Any]) -> None:
    state = Stateful(Callback(content)).state()
    plain = {k: json.loads(json.dumps(v)) for k, v in state.items() if not isinstance(v, Tensor)}
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    again = Callback()
    Stateful(again).load(plain | tensors)
    assert repr(again.content) == repr(content)


def test_what_cannot_be_saved_stays_in_sight_under_its_own_name() -> None:
    state = Stateful(Callback({"a": [{"b": Path("x")}]})).state()
    assert state["state/a/0/b"] == Path("x")
