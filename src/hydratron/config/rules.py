"""What an option means that is null: a number that follows from other options.

`filled` puts the numbers in, once, where a job's configuration is made: its config.yaml says them.
"""

from __future__ import annotations

import math
from dataclasses import replace

from hydratron.config.model import ModelConfig
from hydratron.config.schema import Config
from hydratron.config.trainer import TrainerConfig

# How many of a run's steps are logged and validated, and the longest that one waits for the next:
# the intervals of `trainer=paper`.
LOGGED, LONGEST_LOGGING = 100, 100
VALIDATED, LONGEST_VALIDATION = 20, 1000


def filled(config: Config, counted: bool = False) -> Config:
    """The configuration with a number for every null that stands for a rule of this file.

    What follows from the steps waits, where epochs set them, until the examples are `counted`.
    """
    model = replace(config.model, init_std=initial_std(config.model))
    if config.trainer.max_epochs is not None and not counted:
        return replace(config, model=model)
    trainer = replace(
        config.trainer,
        log_every_n_steps=logging_interval(config.trainer),
        val_every_n_steps=validation_interval(config.trainer),
    )
    schedule = replace(config.schedule, warmup_steps=warmup_steps(config))
    return replace(config, model=model, trainer=trainer, schedule=schedule)


def initial_std(model: ModelConfig) -> float:
    """`model.init_std`; null: 0.02 * sqrt(1024 / hidden_size), to six digits.

    The paper's 0.02, which belongs to its smallest width, as that of every width.
    """
    if model.init_std is not None:
        return model.init_std
    return float(f"{0.02 * math.sqrt(1024 / max(1, model.hidden_size)):.6g}")


def warmup_steps(config: Config) -> int:
    """`schedule.warmup_steps`, which `warmup_fraction` sets where it is given."""
    share = config.schedule.warmup_fraction
    if share is None:
        return config.schedule.warmup_steps
    return min(round(share * config.trainer.max_steps), config.trainer.max_steps - 1)


def logging_interval(trainer: TrainerConfig) -> int:
    """`trainer.log_every_n_steps`; null: about a hundred rows a run, every 100 steps at least."""
    if trainer.log_every_n_steps is not None:
        return trainer.log_every_n_steps
    return min(LONGEST_LOGGING, _round(trainer.max_steps / LOGGED))


def validation_interval(trainer: TrainerConfig) -> int:
    """`trainer.val_every_n_steps`; null: about twenty a run, every 1,000 steps at least."""
    if trainer.val_every_n_steps is not None:
        return trainer.val_every_n_steps
    return min(LONGEST_VALIDATION, _round(trainer.max_steps / VALIDATED))


def _round(steps: float) -> int:
    """The number of steps of the row 1, 2, 5, 10, 20, 50, ... whose ratio to `steps` is nearest."""
    if steps <= 1:
        return 1
    power = 10 ** int(math.log10(steps))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda n: abs(math.log(n / steps)))
