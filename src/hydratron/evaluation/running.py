"""How a trained model is run, for every command that asks something of one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hydratron.config import degrees
from hydratron.config.schema import Config
from hydratron.config.validate import validate
from hydratron.data.preparer.command import open_tokenizer
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError, HydratronError, Problem
from hydratron.evaluation.checkpoints import Opened, evaluation_config


@dataclass(frozen=True, kw_only=True)
class Running:
    """What the command line says of it; None is as it was trained."""

    parallel: str = degrees.SINGLE
    precision: str | None = None
    accelerator: str | None = None
    threads: int = 0
    tokenizer: str | None = None

    def named_tokenizer(self) -> Tokenizer | None:
        """The one that takes the place of the checkpoint's; DataError where it cannot be read."""
        if self.tokenizer is None:
            return None
        found = open_tokenizer(self.tokenizer, None)
        if found is None:
            expected = "gpt2:PATH, or the path of a tokenizer.json"
            raise DataError([Problem("--tokenizer", self.tokenizer, expected)])
        return found

    def config(self, checkpoint: Opened) -> Config:
        """The configuration of the ranks.  Raises HydratronError where the model cannot run so."""
        if (wrong := degrees.problem(self.parallel)) is not None:
            raise DataError([Problem("--parallel", self.parallel, wrong)])
        sizes = degrees.sizes(self.parallel)
        assert sizes is not None
        if sizes[degrees.OPTIONS["pp"]] > 1:
            expected = "pipelines train; tp and dp read a checkpoint of any degree"
            raise DataError([Problem("--parallel", self.parallel, expected)])
        config = evaluation_config(checkpoint.config, sizes, self.threads)
        trainer = dataclasses.replace(
            config.trainer,
            precision=self.precision or config.trainer.precision,
            accelerator=self.accelerator or config.trainer.accelerator,
        )
        config = dataclasses.replace(config, trainer=trainer)
        try:
            validate(config)
        except HydratronError as error:
            first = str(error).splitlines()[0]
            raise HydratronError(f"{checkpoint.path}: {first}") from None
        return config
