"""`trainer.compile=true`: the same losses and gradients, and refused where nothing can compile."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hydratron.config.load import from_dict
from hydratron.errors import ConfigError
from hydratron.launch.compiler import check
from hydratron.training.compiled import compile_layers
from tests.helpers.tiny import tiny_batch, tiny_gpt


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.whole)])
def test_compiled_layers_have_the_losses_and_gradients_of_eager_ones(backend: str) -> None:
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    eager, compiled = tiny_gpt(), tiny_gpt()
    compile_layers(compiled, backend)
    for network in (eager, compiled):
        network.loss(*tiny_batch()).backward()
    assert eager.state_dict().keys() == compiled.state_dict().keys()
    for name, parameter in eager.named_parameters():
        theirs = compiled.get_parameter(name).grad
        torch.testing.assert_close(theirs, parameter.grad, rtol=1e-5, atol=1e-6)


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
