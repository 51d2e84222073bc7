"""Which jobs get GPUs, by how many there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hydratron.cli import main
from hydratron.config.parallel import ParallelConfig
from hydratron.config.schema import Config, LaunchConfig
from hydratron.config.trainer import TrainerConfig
from hydratron.errors import ConfigError
from hydratron.launch.accelerators import accelerator, check


def gpus(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


@pytest.mark.parametrize(
    ("asked", "ranks", "there", "found"),
    [
        ("cpu", 1, 8, "cpu"),
        ("auto", 1, 0, "cpu"),
        ("auto", 1, 1, "gpu"),
        ("auto", 2, 1, "cpu"),
        ("gpu", 2, 2, "gpu"),
    ],
)
def test_a_rank_has_a_gpu_of_its_own_or_none(
    monkeypatch: pytest.MonkeyPatch, asked: str, ranks: int, there: int, found: str
) -> None:
    gpus(monkeypatch, there)
    assert accelerator(asked, ranks) == found


def test_too_few_gpus_are_refused_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1)
    wanted = TrainerConfig(accelerator="gpu")
    two = Config(trainer=wanted, parallel=ParallelConfig(2, 2), launch=LaunchConfig(nodes=2))
    check([Config(trainer=wanted), Config(parallel=ParallelConfig(4, 1))])
    with pytest.raises(ConfigError) as told:
        check([Config(trainer=wanted), two])
    assert str(told.value) == (
        "trainer.accelerator=gpu: each rank needs a GPU; ranks on this host: 2, "
        "GPUs that torch sees: 1"
    )


def test_it_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gpus(monkeypatch, 0)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "trainer.accelerator=gpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hydratron: trainer.accelerator=gpu: ")
    assert not list(tmp_path.iterdir())
