"""experiments/speed: the peers compute what we compute, and planted times give their ratios."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from hydratron.config.folders import conf_dir
from hydratron.config.plan import plan
from hydratron.reproduce.catalog import artifacts
from hydratron.reproduce.measured import COLUMNS
from hydratron.reproduce.results import analyse

FOLDER = conf_dir().parent / "experiments"
SPEED = {a.name: a for a in artifacts(FOLDER)}["speed"]
SHAPE = ("model.num_layers=2", "model.hidden_size=32", "model.seq_length=16", "model.gelu=erf")


@pytest.fixture(scope="module")
def speed() -> Any:
    """Its module of contenders, and work for them."""
    sys.path.insert(0, str(SPEED.folder))
    try:
        import contenders  # type: ignore[import-not-found]

        planned = plan(["model=gpt_pico", "model.vocab_multiple=64", *SHAPE], multirun=False)
        yield contenders, contenders.Work(planned.jobs[0].config, 60, torch.device("cpu"))
    finally:
        sys.path.remove(str(SPEED.folder))


def gradients(contender: Any, tokens: Tensor) -> tuple[float, float]:
    loss = contender.loss(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    return float(loss.detach()), float(contender.clip())


@pytest.mark.parametrize("name", ["nano", "huggingface"])
def test_a_peer_has_our_loss_and_our_gradients(speed: Any, name: str) -> None:
    contenders, work = speed
    if contenders.versions()[name] is None:
        pytest.skip(f"{name} is not installed")
    tokens = torch.randint(60, (2, 17), generator=torch.Generator().manual_seed(1))
    ours, theirs = contenders.bare(work), contenders.BUILDERS[name](work)
    expected = gradients(ours, tokens)
    assert gradients(theirs, tokens) == pytest.approx(expected, rel=1e-5)
    convert = contenders.weights.for_nano if name == "nano" else contenders.weights.for_huggingface
    mine = {k: p.grad for k, p in ours.module.named_parameters()}
    moved = convert(mine, 4, False) if name == "nano" else convert(mine, 4)
    for key, parameter in theirs.module.named_parameters():
        torch.testing.assert_close(parameter.grad, moved[key], rtol=1e-4, atol=1e-6)


def rows(contender: str, ms: list[float], **told: Any) -> list[dict[str, Any]]:
    loss = {"vocabulary": 1024, "first_loss": math.log(1024), "grad_norm": 2.0}
    where = {"pairing": "0", "stage": "S", "model": "S", "precision": "fp32", "threads": 1}
    who = loss | where | {"allocator": "default", "contender": contender, "memory_bytes": 2**30}
    turns: list[dict[str, Any]] = [{"round": n, "ms": each} for n, each in enumerate(ms, 1)]
    return [who | {"status": "measured"} | told | turn for turn in turns or [{}]]


def verdicts(found: list[dict[str, Any]]) -> dict[str, Any]:
    analysis = analyse(SPEED, SPEED.profile("cpu"), pd.DataFrame(found, columns=list(COLUMNS)))
    assert set(analysis.table["contender"]) == {row["contender"] for row in found}
    return {verdict.claim.name: verdict for verdict in analysis.verdicts}


def test_a_planted_ratio_is_the_median_over_rounds() -> None:
    nano, ours = rows("nano", [10.0, 20.0, 30.0]), rows("ours", [8.0, 10.0, 20.0])
    absent = rows("litgpt", [], status="absent", first_loss=None)
    found = verdicts(nano + ours + absent)
    assert str(found["s_fp32"].status) == "REPRODUCED"
    assert found["s_fp32"].effect == pytest.approx(1.5)
    assert str(found["m_fp32"].status) == "NOT RUN"
    assert str(found["same_model"].status) == "REPRODUCED"
    slow = verdicts(rows("nano", [10.0]) + rows("ours", [9.0]))
    assert str(slow["s_fp32"].status) == "NOT REPRODUCED"


@pytest.mark.parametrize("wrong", [{"grad_norm": 2.1}, {"first_loss": math.log(1024) + 0.3}])
def test_another_model_is_seen(wrong: dict[str, float]) -> None:
    found = verdicts(rows("ours", [1.0]) + rows("nano", [1.0], **wrong))
    assert str(found["same_model"].status) == "NOT REPRODUCED"


def test_the_readme_names_every_contender(speed: Any) -> None:
    contenders, _ = speed
    text = (Path(SPEED.folder) / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in text for name in contenders.BUILDERS)
