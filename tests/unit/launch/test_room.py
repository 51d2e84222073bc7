"""Sizes that no host has room for: refused with their number, before any memory is taken."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.config.plan import jobs
from hydratron.errors import ConfigError
from hydratron.launch.room import check, least_parameters

GB = 10**9
# One option each, and what the line must begin with.
ABSURD = {
    "model.hidden_size=4000000": "model.hidden_size=4000000: 384,",
    "model.num_layers=1000000000": "model.num_layers=1000000000: 196,",
    "model.seq_length=100000000000": "model.seq_length=100000000000: 12,8",
    "model.vocab_multiple=1000000000000": "model.vocab_multiple=1000000000000: ",
    "trainer.max_steps=20000000000": "trainer.max_steps=20000000000: 160,000,000,000 samples",
    "trainer.global_batch_size=1000000000": "trainer.global_batch_size=1000000000: 1,000,000",
}


@pytest.mark.fault(56)
@pytest.mark.parametrize(("option", "said"), ABSURD.items(), ids=ABSURD)
def test_absurd_sizes_are_refused_by_their_number(option: str, said: str) -> None:
    config = jobs(["model=gpt_pico", "trainer.accelerator=cpu", option])[0].config
    with pytest.raises(ConfigError) as caught:
        check([config, config], memory=64 * GB)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(said)
    assert line.endswith("this host has 64 GB")


@pytest.mark.fault(56)
def test_the_command_takes_no_memory_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for option in ("model.hidden_size=4000000", "tokenizer.vocab_size=100000000000"):
        assert main(["train", "model=gpt_pico", "trainer.accelerator=cpu", option]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KB
    assert not [*tmp_path.iterdir()]


def test_what_fits_is_not_refused() -> None:
    config = jobs(["model=gpt2_355m", "trainer.accelerator=cpu"])[0].config
    assert 302e6 < least_parameters(config) < 310e6  # Of 355M without GPT-2's vocabulary.
    check([config], memory=5 * GB)
    with pytest.raises(ConfigError):
        check([config], memory=4 * GB)
    # Tensor-parallel ranks share one model, replicas do not.
    config.parallel.tensor_model_parallel_size = 2
    check([config], memory=5 * GB)
    config.parallel.data_parallel_size = 2
    with pytest.raises(ConfigError, match="take 10 GB"):
        check([config], memory=5 * GB)
