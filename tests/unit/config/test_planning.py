"""What `hydratron plan` adds to the overrides that a person types."""

from __future__ import annotations

import pytest

from hydratron.config.plan import jobs
from hydratron.config.planning import plan_overrides, refuse_sections
from hydratron.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ([], ["trainer=paper", "tokenizer=wordpiece", "launch=torchrun", "logger=none"]),
        (
            ["trainer=fast", "+logger=wandb", "seed=1"],
            [
                "tokenizer=wordpiece",
                "launch=torchrun",
                "trainer=fast",
                "+logger=wandb",
                "seed=1",
            ],
        ),
        (
            ["full=true", "tokenizer=bytes", "launch=local"],
            ["trainer=paper", "logger=none", "plan.full=true", "tokenizer=bytes", "launch=local"],
        ),
    ],
)
def test_what_the_command_does_not_say(typed: list[str], whole: list[str]) -> None:
    assert plan_overrides(typed) == whole
    assert plan_overrides(whole) == whole


@pytest.mark.parametrize(
    ("typed", "key"),
    [("cluster=dgx_a100", "cluster"), ("+cluster.gpu=x", "+cluster.gpu"), ("plan.full=true",) * 2],
)
def test_a_training_refuses_what_it_would_ignore(typed: str, key: str) -> None:
    with pytest.raises(ConfigError, match="is read by `hydratron plan` alone") as caught:
        refuse_sections(["seed=1", typed])
    assert [problem.key for problem in caught.value.problems] == [key.partition("=")[0]]


def test_what_a_training_reads_is_not_refused() -> None:
    refuse_sections(["model=gpt_pico", "planet=x", "hydra.run.dir=plan"])


def test_the_defaults_are_the_papers_batch() -> None:
    (job,) = jobs(plan_overrides(["full=true"]))
    assert (job.config.trainer.global_batch_size, job.config.logger.kind) == (512, "none")
    assert job.config.plan.full
