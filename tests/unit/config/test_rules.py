"""What null means: numbers that follow from other options, fixed where a job is composed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hydratron.config.help import train_help
from hydratron.config.load import dump, load
from hydratron.config.model import ModelConfig
from hydratron.config.plan import jobs
from hydratron.config.rules import filled, initial_std, logging_interval, validation_interval
from hydratron.config.schema import Config
from hydratron.config.trainer import TrainerConfig
from hydratron.errors import ConfigError

# What conf/ said of its widths before the rule.
STDS = {128: 0.0565685, 192: 0.046188, 256: 0.04, 384: 0.0326599, 512: 0.0282843, 1024: 0.02}


@pytest.mark.parametrize(("width", "std"), STDS.items())
def test_the_rule_of_the_initial_weights_is_what_was_written(width: int, std: float) -> None:
    assert initial_std(ModelConfig(hidden_size=width)) == std
    assert initial_std(ModelConfig(hidden_size=width, init_std=0.3)) == 0.3


def test_the_initial_weights_follow_a_swept_width() -> None:
    planned = jobs(["model.hidden_size=64,1024"], multirun=True)
    assert [job.config.model.init_std for job in planned] == [0.08, 0.02]
    stated = jobs(["model.hidden_size=64,1024", "model.init_std=0.03"], multirun=True)
    assert [job.config.model.init_std for job in stated] == [0.03, 0.03]


def test_a_model_file_of_ones_own_gets_the_rule(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\nhidden_size: 256\n")
    lines = [f"hydra.searchpath=[{tmp_path}]", "model=mine"]
    assert jobs(lines)[0].config.model.init_std == 0.04


@pytest.mark.parametrize(
    ("steps", "logging", "validation"),
    [
        (1, 1, 1), (10, 1, 1), (40, 1, 2), (100, 1, 5), (160, 2, 10), (300, 2, 20),
        (1000, 10, 50), (3000, 20, 200), (300_000, 100, 1000), (10**7, 100, 1000),
    ],
)  # fmt: skip
def test_intervals_follow_the_length_of_the_run(steps: int, logging: int, validation: int) -> None:
    trainer = TrainerConfig(max_steps=steps)
    assert (logging_interval(trainer), validation_interval(trainer)) == (logging, validation)
    stated = replace(trainer, log_every_n_steps=7, val_every_n_steps=9)
    assert (logging_interval(stated), validation_interval(stated)) == (7, 9)


def test_a_composed_job_holds_the_numbers(tmp_path: Path) -> None:
    trainer = jobs(["trainer.max_steps=100"])[0].config.trainer
    assert (trainer.log_every_n_steps, trainer.val_every_n_steps) == (1, 5)
    trainer = jobs(["trainer.max_steps=100", "trainer.val_every_n_steps=25"])[0].config.trainer
    assert (trainer.log_every_n_steps, trainer.val_every_n_steps) == (1, 25)
    demo = jobs(["experiment=demo"], multirun=True)[0].config.trainer
    assert (demo.log_every_n_steps, demo.val_every_n_steps) == (5, 20)


def test_a_resumed_job_keeps_its_intervals(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "step_00000010").mkdir(parents=True)
    dump(filled(Config(trainer=TrainerConfig(max_steps=100))), tmp_path / "config.yaml")
    lines = [f"resume={tmp_path}", "trainer.max_steps=1000"]
    assert jobs(lines)[0].config.trainer.val_every_n_steps == 5
    lines += ["trainer.val_every_n_steps=null"]
    assert jobs(lines)[0].config.trainer.val_every_n_steps == 50


def test_it_is_filled_once() -> None:
    once = filled(Config())
    assert filled(once) == once
    assert (once.model.init_std, once.trainer.val_every_n_steps) == (0.046188, 50)


def test_rules_survive_what_validation_refuses() -> None:
    with pytest.raises(ConfigError) as caught:
        jobs(["trainer.max_steps=-3", "model.hidden_size=0", "model.num_attention_heads=1"])
    assert [p.key for p in caught.value.problems] == ["trainer.max_steps", "model.hidden_size"]


def test_an_old_folder_without_the_numbers_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("trainer: {max_steps: 100}\n")
    assert filled(load(tmp_path / "config.yaml")).trainer.val_every_n_steps == 5


def test_help_says_the_rules() -> None:
    text = " ".join(train_help().split())
    assert "model.init_std=null standard deviation of the initial weights; null: 0.02 *" in text
    assert "trainer.val_every_n_steps=null optimizer steps between validations; null:" in text
    assert "where a model file does not say" in text
