"""Bounds of single options and the rules between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.config.load import dump
from hydratron.config.schema import Config
from hydratron.config.validate import divisors, problems, validate
from hydratron.errors import ConfigError
from hydratron.job import JobFolder
from tests.helpers.jobs import checkpoint


def _config(**changes: Any) -> Config:
    """The defaults with `section__option=value` changed."""
    config = Config()
    for key, value in changes.items():
        *sections, name = key.split("__")
        node: Any = config
        for section in sections:
            node = getattr(node, section)
        assert hasattr(node, name)
        setattr(node, name, value)
    return config


def _lines(**changes: Any) -> list[str]:
    return [str(problem) for problem in problems(_config(**changes))]


def test_the_defaults_are_valid() -> None:
    validate(Config())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"trainer__max_steps": 0}, "trainer.max_steps=0: must be at least 1"),
        ({"optim__lr": 0.0}, "optim.lr=0.0: must be above 0"),
        ({"optim__lr": float("nan")}, "optim.lr=nan: a number is expected"),
        ({"optim__weight_decay": float("inf")}, "optim.weight_decay=inf: a number is expected"),
        (
            {"trainer__val_samples": 1, "parallel__data_parallel_size": 2},
            "trainer.val_samples=1: at least parallel.data_parallel_size 2: every replica scores "
            "its share",
        ),
        (
            {
                "parallel__tensor_model_parallel_size": 4,
                "parallel__sequence_parallel": True,
                "model__seq_length": 126,
            },
            "model.seq_length=126: not divisible by parallel.tensor_model_parallel_size 4 "
            "(remainder 2), as parallel.sequence_parallel needs; nearest valid: 124, 128",
        ),
        (
            {"parallel__backend": "dtensor", "parallel__pipeline_model_parallel_size": 2},
            "parallel.pipeline_model_parallel_size=2: parallel.backend=dtensor has no pipelines; "
            "1, or parallel.backend=explicit",
        ),
        (
            {"parallel__backend": "dtensor", "parallel__tensor_model_parallel_size": 2},
            "model.attention=sdpa: torch cannot split the fused kernel of CPUs for "
            "parallel.backend=dtensor; manual",
        ),
        (
            {
                "parallel__backend": "dtensor",
                "parallel__tensor_model_parallel_size": 2,
                "model__attention": "manual",
                "model__recompute": "mlp",
            },
            "model.recompute=mlp: parallel.backend=dtensor computes nothing twice; none",
        ),
        (
            {
                "parallel__backend": "dtensor",
                "parallel__tensor_model_parallel_size": 2,
                "model__attention": "manual",
                "trainer__compile": True,
            },
            "trainer.compile=true: parallel.backend=dtensor is not compiled; false",
        ),
        (
            {"model__recompute": "attention"},
            "model.recompute=attention: saves nothing with model.attention=sdpa, which keeps no "
            "scores; mlp or layer",
        ),
        ({"model__dropout": 1.0}, "model.dropout=1.0: must be at least 0 and at most 0.99"),
        (
            {"trainer__loss_scale__initial": 2.0, "trainer__loss_scale__minimum": 4.0},
            "trainer.loss_scale.minimum=4.0: must be at most trainer.loss_scale.initial 2",
        ),
        ({"trainer__precision": "fp8"}, "trainer.precision=fp8: choices: fp32, bf16, fp16"),
        (
            {"model__layernorm__placement": "mid"},
            "model.layernorm.placement=mid: choices: pre, post, deepnorm, sandwich",
        ),
        ({"model__name": "../x"}, "model.name=../x: letters, digits, _ . - only"),
        (
            {"model__num_attention_heads": 5},
            "model.num_attention_heads=5: does not divide model.hidden_size 192; "
            "valid: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 192",
        ),
        (
            {"parallel__tensor_model_parallel_size": 3},
            "parallel.tensor_model_parallel_size=3: does not divide model.num_attention_heads 4 "
            "(remainder 1) and model.vocab_multiple 1024 (remainder 1); valid: 1, 2, 4",
        ),
        (
            {"parallel__tensor_model_parallel_size": 4, "model__vocab_multiple": 2},
            "parallel.tensor_model_parallel_size=4: does not divide model.vocab_multiple 2 "
            "(remainder 2); valid: 1, 2",
        ),
        (
            {"parallel__tensor_model_parallel_size": 4, "model__ffn_hidden_size": 766},
            "parallel.tensor_model_parallel_size=4: does not divide model.ffn_hidden_size 766 "
            "(remainder 2); valid: 1, 2",
        ),
        (
            {
                "trainer__global_batch_size": 12,
                "trainer__micro_batch_size": 8,
                "parallel__data_parallel_size": 2,
            },
            "trainer.global_batch_size=12: not divisible by trainer.micro_batch_size 8 x "
            "parallel.data_parallel_size 2 = 16 (remainder 12); "
            "valid trainer.micro_batch_size: 1, 2, 3, 6",
        ),
        (
            {"trainer__global_batch_size": 9, "parallel__data_parallel_size": 2},
            "trainer.global_batch_size=9: not divisible by parallel.data_parallel_size 2 "
            "(remainder 1); nearest valid: 8, 10",
        ),
        (
            {"schedule__warmup_steps": 1000},
            "schedule.warmup_steps=1000: must be below trainer.max_steps 1000",
        ),
        (
            {"schedule__warmup_steps": 50, "schedule__decay_steps": 50},
            "schedule.warmup_steps=50: must be below schedule.decay_steps 50",
        ),
        ({"schedule__min_lr": 0.1}, "schedule.min_lr=0.1: must be at most optim.lr 0.001"),
        ({"resume": "nowhere"}, "resume=nowhere: no such job folder or checkpoint folder"),
        ({"launch__nodes": 2}, "launch.nodes=2: launch=local is one host; launch=torchrun"),
        (
            {
                "parallel__data_parallel_size": 128,
                "trainer__global_batch_size": 1024,
                "trainer__val_samples": 128,
            },
            "launch.kind=local: at most 64 processes on one host, tp 1 x dp 128 = 128 are asked "
            "for; use launch=torchrun",
        ),
    ],
)
def test_each_mistake_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert _lines(**changes) == [line]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"nodes": 3, "rendezvous": "a:1"},
            "launch.nodes=3: does not divide the processes, tp 4 x dp 1 = 4; valid: 1, 2, 4",
        ),
        (
            {"nodes": 2, "node_rank": 2, "rendezvous": "a:1"},
            "launch.node_rank=2: must be below launch.nodes 2",
        ),
        (
            {"nodes": 2},
            "launch.rendezvous=null: HOST:PORT of the first host is needed with "
            "launch.nodes above 1",
        ),
        ({"nodes": 2, "rendezvous": "host"}, "launch.rendezvous=host: HOST:PORT is expected"),
        ({"nodes": 2, "rendezvous": "host:x"}, "launch.rendezvous=host:x: HOST:PORT is expected"),
    ],
)
def test_torchrun_rules(changes: dict[str, Any], line: str) -> None:
    base = {"launch__kind": "torchrun", "parallel__tensor_model_parallel_size": 4}
    assert _lines(**base, **{f"launch__{key}": value for key, value in changes.items()}) == [line]


def test_torchrun_may_be_large() -> None:
    changes = {"launch__kind": "torchrun", "launch__nodes": 64, "launch__rendezvous": "node0:29500"}
    sizes = {"parallel__data_parallel_size": 512, "trainer__global_batch_size": 4096}
    sizes |= {"trainer__val_samples": 512}
    assert _lines(**changes, **sizes) == []


def test_a_short_run_may_follow_a_long_schedule() -> None:
    assert _lines(schedule__warmup_steps=3000, schedule__decay_steps=300_000) == []


def test_paths_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert len(_lines(data__source="text", data__path=str(path))) == 1
    assert len(_lines(tokenizer__kind="gpt2", tokenizer__path=str(path))) == 1
    path.write_text("words")
    assert _lines(data__source="text", data__path=str(path)) == []
    assert _lines(tokenizer__kind="gpt2", tokenizer__path=str(path)) == []


def test_resume_needs_a_checkpoint_and_its_configuration(tmp_path: Path) -> None:
    assert "it holds none" in _lines(resume=str(tmp_path))[0]
    named = checkpoint(JobFolder(tmp_path), 10)
    assert "no config.yaml" in _lines(resume=str(tmp_path))[0]
    dump(Config(), tmp_path / "config.yaml")
    assert _lines(resume=str(tmp_path)) == []
    assert _lines(resume=str(named)) == []
    changed = _lines(resume=str(tmp_path), model__num_layers=5)
    assert changed == ["model.num_layers=5: 4 -> 5 cannot change over a resume"]


def test_everything_is_raised_at_once() -> None:
    config = _config(
        trainer__max_steps=0, optim__lr=-1.0, model__num_attention_heads=5, launch__nodes=2
    )
    with pytest.raises(ConfigError) as caught:
        validate(config)
    assert [problem.key for problem in caught.value.problems] == [
        "optim.lr",
        "trainer.max_steps",
        "model.num_attention_heads",
        "launch.nodes",
    ]


def test_no_rule_calculates_with_an_option_out_of_bounds() -> None:
    zero = {"model__num_attention_heads": 0, "model__hidden_size": 0, "model__vocab_multiple": 0}
    sizes = {"parallel__tensor_model_parallel_size": 0, "parallel__data_parallel_size": 0}
    assert len(_lines(**zero, **sizes, trainer__micro_batch_size=0, launch__nodes=0)) == 7


@pytest.mark.fault(28)
@settings(deadline=None)
@given(st.integers(1, 10_000))
def test_divisors(number: int) -> None:
    assert divisors(number) == [n for n in range(1, number + 1) if number % n == 0]
