"""A fine-tuning before its ranks start: its examples are counted, which sets its steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.cli.parser import complain

if TYPE_CHECKING:
    from hydratron.config.command import Command
    from hydratron.config.schema import Config


def counted(planned: Command) -> Command:
    """The command whose jobs say the steps that their epochs are.  Raises HydratronError."""
    jobs = [dataclasses.replace(job, config=sized(job.config)) for job in planned.jobs]
    return dataclasses.replace(planned, jobs=jobs)


def sized(config: Config) -> Config:
    """The same of one job; its tokens are made if they are not there."""
    if config.trainer.max_epochs is None:
        return config
    from hydratron.config.labelled import sized as with_steps
    from hydratron.data.corpus import open_corpus
    from hydratron.data.labelled.summary import training_size
    from hydratron.data.prepare import prepare_job

    folder = config.data.prepared or prepare_job(config, progress=True)
    return with_steps(config, training_size(open_corpus(folder), config))


def examples(config: Config, prepared: str | Path) -> dict[str, Any]:
    """What provenance.json says of the examples; nothing for a job that learns from text."""
    if not config.learning.examples:
        return {}
    from hydratron.data.corpus import open_corpus
    from hydratron.data.labelled.summary import counts

    return {"examples": counts(open_corpus(prepared), config)}


def tell(config: Config, prepared: str, said: set[str]) -> None:
    """Say it, once."""
    from hydratron.data.labelled.summary import line

    for found in examples(config, prepared).values():
        text = f"{config.task}: {line(found, config.model.seq_length)}"
        if text not in said:
            said.add(text)
            complain(text)
