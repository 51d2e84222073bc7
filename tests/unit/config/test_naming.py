"""Names of jobs: what a sweep varies, in few letters that every file system takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hydratron.config.model import ModelConfig
from hydratron.config.naming import LONGEST, Label
from hydratron.config.schema import Config, DataConfig, OptimConfig
from hydratron.config.trainer import TrainerConfig
from hydratron.job import VALID_NAME

CONFIG = Config(
    optim=OptimConfig(lr=3e-3, weight_decay=1e-7 / 3),
    data=DataConfig(path="my texts/ä b.txt"),
    trainer=TrainerConfig(micro_batch_size=None),
    seed=7,
)
CHOICES = {"optim": "sgd", "model": "gpt_nano", "layernorm": "pre", "parallel": "tp1_dp2"}


def middle(*keys: str) -> str:
    """What stands between the variant and the seed."""
    name = str(Label(3, CONFIG, CHOICES, keys))
    assert name.startswith("003_gpt_nano-single-pre")
    assert name.endswith("-s7")
    assert VALID_NAME.fullmatch(name)
    return name.removeprefix("003_gpt_nano-single-pre").removesuffix("-s7").removeprefix("-")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("optim.lr", "lr0.003"),
        ("optim.weight_decay", "weight_decay3.33333e-08"),
        ("trainer.max_steps", "max_steps1000"),
        ("trainer.micro_batch_size", "micro_batch_size_null"),
        ("model.recompute", "recompute_none"),
        ("trainer.precision", "precision_fp32"),
        ("data.path", "path_my_texts_b.txt"),
        ("optim", "optim_sgd"),
        ("parallel", "parallel_tp1_dp2"),
        ("experiment", ""),
        *((said, "") for said in ("model", "layernorm", "seed", "model.name")),
        *((said, "") for said in ("model.layernorm.placement", "parallel.data_parallel_size")),
    ],
)
def test_a_part_says_key_and_value_unless_the_name_has_it(key: str, text: str) -> None:
    assert middle(key) == text


def test_keys_stand_in_the_order_of_the_sweep_and_once() -> None:
    assert middle("optim", "optim.lr") == "optim_sgd-lr0.003"
    label = Label(3, CONFIG, CHOICES, ("optim",)).saying(["optim.lr", "optim"])
    assert str(label) == "003_gpt_nano-single-pre-optim_sgd-lr0.003-s7"


@pytest.mark.fault(59)
def test_long_names_are_cut_and_stay_apart() -> None:
    names = []
    for end in "ab":
        config = replace(CONFIG, data=DataConfig(path="x" * 300 + end))
        names.append(str(Label(3, config, CHOICES, ("data.path",))))
    config = replace(CONFIG, model=ModelConfig(name="m" * 300))
    names.append(str(Label(1234, config, {})))
    assert [len(name) for name in names] == [LONGEST] * 3
    assert len({*names}) == 3
    assert all(VALID_NAME.fullmatch(name) and name.endswith("-s7") for name in names)
    assert names[2].startswith("1234_mmm")
