"""A W&B run for the job: offline by default, and never a reason for the job to fail."""

from __future__ import annotations

import os
import secrets
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from hydratron.config.planning import SECTIONS
from hydratron.config.schema import Config
from hydratron.job import JobFolder, read_json, write_json
from hydratron.training.beside import StartedBeside


def wandb_logger(config: Config, folder: JobFolder) -> Logger | None:
    """The run of this job, group = sweep, job type = variant; x axis `tokens`.

    A job that was cut goes on as the run that it was: `wandb.json` in its folder keeps the id, with
    the address, which an offline run has not, and the folder of the run's files.  Rows between the
    last checkpoint and the cut are logged again.  Offline each attempt has files of its own, which
    `wandb sync` uploads as one run.
    Online without an answer it goes on offline; without W&B at all it gives None.  Both are said in
    one warning.
    """
    try:
        return _start(config, folder, offline=config.logger.mode == "offline")
    except Exception as error:
        warnings.warn(f"W&B {config.logger.mode} did not start: {error}", stacklevel=2)
    if config.logger.mode == "offline":
        return None
    try:
        return _start(config, folder, offline=True)
    except Exception:
        return None


def wandb_of(config: Config, folder: JobFolder) -> dict[str, Any] | None:
    """Id, address and files of the job's run; None without one."""
    return read_json(folder.wandb) if config.logger.kind == "wandb" else None


def used(config: Config) -> dict[str, Any]:
    """The options of the job, without those of the machine that only a plan is made for."""
    return {name: value for name, value in asdict(config).items() if name not in SECTIONS}


def wandb_beside(config: Config, folder: JobFolder) -> StartedBeside:
    """The same, started beside the training, which it would hold up for half a second."""
    return StartedBeside(lambda: wandb_logger(config, folder))


def finish(beside: StartedBeside | None, failed: bool) -> None:
    """Close the run, so that the next job of this process tree starts its own."""
    if beside is None:
        return
    try:
        logger = beside.started()
        if logger is None:
            return
        logger.experiment.finish(exit_code=int(failed))  # type: ignore[attr-defined]
    except Exception as error:
        warnings.warn(f"W&B did not finish its run: {error}", stacklevel=2)


def _start(config: Config, folder: JobFolder, offline: bool) -> Logger:
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    options = config.logger
    earlier = read_json(folder.wandb) or {}
    Path(options.save_dir).mkdir(parents=True, exist_ok=True)
    logger = WandbLogger(
        project=options.project,
        entity=options.entity,
        name=folder.name,
        id=earlier.get("id") or secrets.token_hex(4),
        group=folder.sweep,
        job_type=config.variant,
        tags=[config.model.name, config.parallel.label, *options.tags],
        config=used(config),
        save_dir=options.save_dir,
        offline=offline,
        settings=wandb.Settings(
            console="off", x_disable_stats=True, silent=True, init_timeout=20, disable_git=True
        ),
    )
    run = logger.experiment
    run.define_metric("*", step_metric="tokens")
    files = os.path.relpath(Path(run.dir).parent, folder.path)
    write_json(folder.wandb, {"id": run.id, "url": run.url or None, "files": files})
    return logger
