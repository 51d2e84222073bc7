"""What the strategy needs of Lightning beyond its promises, one sentence for each that is gone."""

from __future__ import annotations

import lightning as pl
from lightning.pytorch.strategies import ModelParallelStrategy

from hydratron.training.internals import loop_position

TRIED = "training/internals.py was tried with Lightning 2.6.6; this one has changed: "


def test_the_strategy_still_has_what_is_overridden() -> None:
    for name in ("_setup_distributed", "_determine_device_ids", "setup_environment"):
        assert hasattr(ModelParallelStrategy, name), TRIED + name


def test_the_position_of_the_loops_is_the_step() -> None:
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    state = loop_position(trainer, 7)
    epoch = state["epoch_loop.state_dict"]
    assert epoch.keys() == {"_batches_that_stepped"}, TRIED + "the epoch loop's own state"
    trainer.fit_loop.load_state_dict(state)
    loop = trainer.fit_loop.epoch_loop
    assert loop.batch_progress.total.completed == 7, TRIED + "the count of batches"
    progress = loop.manual_optimization.optim_step_progress
    assert progress.total.completed == 7, TRIED + "the count of steps of manual optimization"
