"""Fine-tuning from the command line: what task= brings, epochs as steps, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hydratron.config.folders import conf_dir
from hydratron.config.labelled import sized
from hydratron.config.plan import jobs
from hydratron.config.schema import Config
from hydratron.errors import ConfigError

BERT = ("model=bert_pico", "tokenizer=wordpiece")


@pytest.fixture
def files(tmp_path: Path) -> str:
    return f"data.path={tmp_path}"


def one(*overrides: str) -> Config:
    return jobs([*BERT, *overrides])[0].config


def test_a_task_brings_its_data_and_all_that_validates(files: str) -> None:
    config = one("task=sst2", files)
    assert (config.data.source, config.trainer.val_samples) == ("labelled", None)
    assert config.tokens_per_step == 8 * 128
    assert one("task=race", files).tokens_per_step == 8 * 4 * 128
    assert one("task=sst2", files, "trainer.val_samples=7").trainer.val_samples == 7


def test_epochs_are_whole_batches_of_steps(files: str) -> None:
    asked = ("trainer.max_epochs=3", "schedule.warmup_fraction=0.1", "trainer.global_batch_size=16")
    config = one("task=sst2", files, *asked)
    assert config.trainer.val_every_n_steps is None
    counted = sized(config, 165)
    assert (counted.trainer.max_steps, counted.trainer.val_every_n_steps) == (30, 10)
    assert (counted.schedule.warmup_steps, counted.trainer.log_every_n_steps) == (3, 1)
    assert sized(counted, 165) == counted
    with pytest.raises(ConfigError, match="global_batch_size=16: at most 15"):
        sized(config, 15)
    plain = one("task=sst2", files, "trainer.max_steps=50", "schedule.warmup_fraction=0.1")
    assert (plain.trainer.max_steps, plain.schedule.warmup_steps) == (50, 5)


REFUSED: list[tuple[list[str], str]] = [
    (["task=sst2"], "data.path=null: task=sst2 needs the folder of the task's files"),
    (["task=sst2", "data.path=/no/such"], "data.path=/no/such: no such file or folder"),
    (["task=sst2", "data=text", "data.path=/"], "data.source=text: task=sst2 reads its own files"),
    (["trainer.max_epochs=1"], "trainer.max_epochs=1: is read in fine-tuning only: task= one of"),
    (["trainer.val_samples=null"], "trainer.val_samples=null: a number, unless task= is one of"),
    (["data.source=labelled", "data.path=/"], "data.source=labelled: is what task= brings"),
    (["data.validation_path=/"], "data.validation_path=/: is read in fine-tuning only"),
]


@pytest.mark.parametrize(("overrides", "said"), REFUSED)
def test_what_does_not_go_together(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one(*overrides)
    assert said in str(caught.value)


def test_steps_beside_epochs_of_a_recipe(files: str) -> None:
    recipe = ("experiment=mnli_336m", files, "tokenizer=wordpiece")
    with pytest.raises(ConfigError, match=r"max_epochs=10 sets it; add trainer.max_epochs=null"):
        jobs([*recipe, "trainer.max_steps=5"])
    with pytest.raises(ConfigError, match=r"max_epochs=2 sets it; add trainer.max_epochs=null"):
        jobs([*recipe, "trainer.max_steps=5", "trainer.max_epochs=2"])
    config = jobs([*recipe, "trainer.max_steps=5", "trainer.max_epochs=null"])[0].config
    assert config.trainer.max_steps == 5
    assert (config.model.name, config.model.dropout) == ("bert_336m", 0.1)


# Batch, rate and epochs (paper, Table 6).
TABLE6: dict[str, list[Any]] = {
    "mnli": [(128, 1e-5), (128, 1e-5), (128, 1e-5), 10],
    "qqp": [(128, 5e-5), (128, 3e-5), (256, 4e-5), 12],
    "squad1": [(64, 3e-5), (48, 3e-5), (48, 1e-5), 2],
    "squad2": [(48, 3e-5), (64, 3e-5), (48, 1e-5), 2],
    "race": [(32, 2e-5), (16, 1e-5), (32, 2e-5), 3],
}


@pytest.mark.parametrize("task", TABLE6)
def test_the_recipes_of_table_6(task: str) -> None:
    """That the files compose is tested with all others."""
    *recipes, epochs = TABLE6[task]
    for size, (batch, rate) in zip(("336m", "1.3b", "3.9b"), recipes, strict=True):
        file = conf_dir() / "experiment" / f"{task}_{size}.yaml"
        content = yaml.safe_load(file.read_text())
        assert content["task"] == task
        assert {"override /model": f"bert_{size}"} in content["defaults"]
        trainer, optim = content["trainer"], content["optim"]
        assert (trainer["global_batch_size"], trainer["max_epochs"]) == (batch, epochs)
        assert (optim["lr"], optim["weight_decay"]) == (rate, 0.1)
