"""What a checkpoint does not hold, or this run does not take, is refused by its name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch.optim import Adafactor

from hydratron.checkpoint.folder import load, save
from hydratron.checkpoint.manifest import Verified, verify
from hydratron.checkpoint.participants import OptimizerState
from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256
from tests.helpers.disk import full_disk
from tests.helpers.participants import TABLE, Run
from tests.helpers.ranks import run_ranks
from tests.unit.checkpoint.test_hostile import sign


class Holder:
    """A participant that says what it is told, and remembers what it was given."""

    def __init__(self, **content: Any) -> None:
        self.content, self.given = content, dict[str, Any]()

    def state(self) -> dict[str, Any]:
        return self.content

    def load(self, state: Any) -> None:
        self.given = dict(state)


def refused(function: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(HydratronError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def run_all(rank: int, ranks: int, folder: Path) -> None:
    saving(folder / "saving")
    a_full_disk(folder / "full")
    flushing(folder / "flushing")
    loading(folder / "step_00000001")
    types(folder / "step_00000001", folder / "types")
    optimizers(folder / "optimizer")
    versions(folder / "step_00000001")


def saving(path: Path) -> None:
    for value in (object(), (1, 2), {1: 2}, float("nan"), {"x": [{2}]}, torch.Size([1])):
        message = refused(save, path, {"mine": Holder(deep=value)}, 1, {})
        assert message.startswith("mine: deep: neither tensor nor JSON")
    assert "no / in its name" in refused(save, path, {"a/b": Holder()}, 1, {})
    assert not any(path.parent.iterdir())


def a_full_disk(path: Path) -> None:
    path.mkdir()
    with full_disk():
        message = refused(save, path / "step_00000001", {"mine": Holder(t=torch.ones(9999))}, 1, {})
    assert message.endswith("rank 0: disk full: a file may not grow so large here (File too large)")
    assert not any(path.iterdir())
    path.rmdir()


def flushing(path: Path) -> None:
    """Every file and the folder are on the disk before the name appears, the name thereafter."""
    flushed: list[set[int]] = [set()]
    fsync, replace = os.fsync, os.replace

    def noted(handle: int) -> None:
        flushed[-1].add(os.fstat(handle).st_ino)
        fsync(handle)

    def renamed(source: Path, target: Path) -> None:
        flushed.append(set())
        replace(source, target)

    with mock.patch("os.fsync", noted), mock.patch("os.replace", renamed):
        save(path, {"mine": Holder(t=torch.ones(2))}, 1, {"config.yaml": "x"})
    before, after = flushed
    assert before >= {file.stat().st_ino for file in (path, *path.iterdir())}
    assert after == {path.parent.stat().st_ino}


def loading(path: Path) -> None:
    json_value = {"a": [1, None, {"b": "x"}], "c": 1.5}
    holder = Holder(t=torch.ones(2), plain=json_value, nothing=None)
    save(path, {"mine": holder, "other": Holder()}, 1, {})
    again = Holder(t=torch.zeros(2))
    assert load(path, {"mine": again, "other": Holder()}) == 1
    assert again.given["plain"] == json_value
    assert again.given["nothing"] is None
    assert again.content["t"].tolist() == [1, 1]

    other = Holder()
    assert load(path, {"mine": again, "new": other}, ["new", "other"]) == 1
    assert other.given == {}
    for content, said in [
        ({"t": torch.zeros(3)}, "mine/t: its shape is [2] in the checkpoint and [3] here"),
        (
            {"t": torch.zeros(2, dtype=torch.bfloat16)},
            "a float32 checkpoint does not load into bfloat16",
        ),
        ({"t": torch.zeros(2), "u": torch.zeros(1)}, "mine/u was not saved"),
        ({}, "mine/t was saved"),
    ]:
        unchanged = Holder(**content)
        assert said in refused(load, path, {"mine": unchanged, "other": Holder()})
        assert unchanged.given == {}
    assert "other is in the checkpoint" in refused(load, path, {"mine": again})
    assert "new is in this run alone" in refused(
        load, path, {"mine": again, "other": Holder(), "new": Holder()}
    )


def types(path: Path, mixed: Path) -> None:
    """Another type is refused by names unless asked; what is verified is not hashed again."""
    half = Holder(t=torch.zeros(2, dtype=torch.bfloat16))
    assert load(path, {"mine": half, "other": Holder()}, cast=True) == 1
    assert half.given["t"].tolist() == [1, 1]
    number = Holder(t=torch.zeros(2, dtype=torch.int64))
    message = refused(partial(load, cast=True), path, {"mine": number, "other": Holder()})
    assert "mine/t: a float32 checkpoint does not load into int64" in message

    verified = Verified(path, tuple(verify(path)))
    with mock.patch("hydratron.checkpoint.manifest.file_sha256", wraps=file_sha256) as hashed:
        assert load(verified, {"mine": Holder(t=torch.zeros(2)), "other": Holder()}) == 1
        assert {call.args[0].name for call in hashed.call_args_list} == {"state.json"}
        load(path, {"mine": Holder(t=torch.zeros(2)), "other": Holder()})
        assert any(call.args[0].suffix == ".distcp" for call in hashed.call_args_list)

    # A state of the optimizer's in bf16, which torch itself would widen without a word.
    run, again = Run(1, "momentum"), Run(1, "momentum")
    run.step(5)
    state = run.participants["optimizer"].state()
    key = "momentum_buffer/rows"
    save(mixed, {"optimizer": Holder(**(state | {key: state[key].bfloat16()}))}, 1, {})
    participants = {"optimizer": again.participants["optimizer"]}
    assert (
        f"optimizer/{key}: a bfloat16 checkpoint does not load into float32; "
        "checkpoint.cast=true takes it"
    ) in refused(load, mixed, participants)
    load(mixed, participants, cast=True)
    buffer = again.participants["optimizer"].state()[key].to_local()
    assert buffer.dtype == torch.float32
    assert buffer.equal(state[key].to_local().bfloat16().float())


def optimizers(path: Path) -> None:
    run = Run(1, "momentum")
    run.optimizer.param_groups[0] |= {"initial_lr": 0.5, "lr": 0.25}
    run.step(5)
    save(path, {"optimizer": run.participants["optimizer"]}, 1, {})
    fresh = Run(1, "momentum")
    load(path, {"optimizer": fresh.participants["optimizer"]})
    group = fresh.optimizer.param_groups[0]
    assert (group["initial_lr"], group["lr"]) == (0.5, 0.1)  # lr is the configuration's
    assert "SGD in 1 groups, which AdamW" in refused(
        load, path, {"optimizer": Run(1, "adamw").participants["optimizer"]}
    )
    del fresh.network._parameters["whole"]
    smaller = OptimizerState(fresh.network, fresh.optimizer, TABLE, fresh.mesh)
    assert "momentum_buffer of whole, which is not" in refused(load, path, {"optimizer": smaller})
    assert "a state that belongs to no parameter" in refused(smaller.state)

    # Row and column factors have another shape than the parameter: bound to one degree.
    run.optimizer = Adafactor(run.network.parameters())
    run.step(5)
    factors = OptimizerState(run.network, run.optimizer, TABLE, run.mesh)
    assert "Adafactor: row_var of rows has the shape (8, 1)" in refused(factors.state)


def versions(path: Path) -> None:
    state = json.loads((path / "state.json").read_text())
    for changed, said in [
        (state | {"version": 1}, "was written by an older hydratron: train again or use that"),
        ({"step": 1, "seconds": 2.0}, "was written by an older hydratron"),
        (state | {"step": 2}, "its state.json says step 2"),
    ]:
        (path / "state.json").write_text(json.dumps(changed))
        sign(path)
        assert said in refused(load, path, {})


@pytest.mark.fault(16, 26, 27, 60, 62)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    run_ranks(run_all, 1, tmp_path)
