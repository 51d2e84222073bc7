"""What `hydratron plan` adds to the overrides that a person types."""

from __future__ import annotations

import pytest

from hydratron.config.plan import jobs
from hydratron.config.planning import plan_overrides


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


def test_the_defaults_are_the_papers_batch() -> None:
    (job,) = jobs(plan_overrides(["full=true"]))
    assert (job.config.trainer.global_batch_size, job.config.logger.kind) == (512, "none")
    assert job.config.plan.full
