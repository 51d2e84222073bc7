"""`trainer.compile=true`: the same losses and gradients, and refused where nothing can compile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hydratron.config.load import from_dict
from hydratron.errors import ConfigError
from hydratron.launch.compiler import check
from hydratron.models.gpt import GPTModel
from hydratron.training.compiled import compile_layers
from hydratron.training.precision import autocast
from tests.helpers.compilers import BACKENDS
from tests.helpers.tiny import tiny_batch, tiny_gpt


def gradients(network: GPTModel, precision: str) -> dict[str, Tensor]:
    with autocast(precision, "cpu")():
        loss = network.loss(*tiny_batch())
    loss.backward()
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def compiled(backend: str) -> GPTModel:
    network = tiny_gpt()
    compile_layers(network, backend)
    return network


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_layers_have_the_losses_and_gradients_of_eager_ones(backend: str) -> None:
    eager, network = tiny_gpt(), compiled(backend)
    found, expected = gradients(network, "fp32"), gradients(eager, "fp32")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert eager.state_dict().keys() == network.state_dict().keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", BACKENDS)
def test_in_bf16_they_round_no_more_than_eager_ones(backend: str) -> None:
    exact, eager = (gradients(tiny_gpt(), precision) for precision in ("fp32", "bf16"))
    found = gradients(compiled(backend), "bf16")
    assert found.keys() == exact.keys()
    for name, right in exact.items():
        rounded = float(torch.dist(eager[name], right))
        assert 0 < float(torch.dist(found[name], right)) < 1.5 * rounded + 1e-7


def test_without_a_compiler_it_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = from_dict({"trainer": {"compile": True, "accelerator": "cpu"}})
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError) as refused:
        check([wanted])
    assert str(refused.value) == (
        "trainer.compile=true: needs a C++ compiler on CPUs, and there is no g++ or clang++ or c++"
        " here"
    )
    check([from_dict({})])
    check([replace(wanted, trainer=replace(wanted.trainer, compile=False))])
    (tmp_path / "mine").touch(mode=0o755)
    monkeypatch.setenv("CXX", "mine")
    check([wanted])
