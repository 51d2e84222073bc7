"""Hydra runs the jobs: the task function that it calls for each, and the call of Hydra itself."""

from __future__ import annotations

import math
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from hydratron.config import degree_source
from hydratron.config.command import Command
from hydratron.config.compose import CONFIG_NAME, VERSION_BASE, config_of
from hydratron.config.folders import conf_dir
from hydratron.config.schema import Config
from hydratron.config.validate import validate
from hydratron.job import JobFolder, write_json

# (configuration, job folder, overrides, place in the sweep) -> the job's result
Runner = Callable[[Config, Path, list[str], int], dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """Runs one composed job.  A failed job is recorded in its folder and never ends the sweep.

    Hydra's launchers may pickle it and call it in other processes.  Ctrl-C and SIGTERM, which
    arrive as KeyboardInterrupt and SystemExit, do end the sweep.
    """

    run: Runner
    jobs: Sequence[Sequence[str]] = ()
    """The overrides of each job of a planned sweep, for `hydra_plugins.hydratron_sweeper`."""
    configs: Mapping[Path, Config] = field(default_factory=dict)
    """By absolute folder what each job was checked with.  Hydra reads its files again for each job,
    hours later in a long sweep, and they may have been edited."""

    def __call__(self, composed: DictConfig) -> float:
        """The final `val/loss` for sweepers that minimise it; infinity without one."""
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        overrides = [str(line) for line in settings.overrides.task]
        number = 0 if OmegaConf.is_missing(settings.job, "num") else settings.job.num
        try:
            config = self.configs.get(folder)
            if config is None:
                config = config_of(composed, overrides, settings.searchpath)
                validate(config)
            result = self.run(config, folder, overrides, number)
        except Exception as error:
            _record(JobFolder(folder), error)
            return math.inf
        loss = result.get("val/loss")
        return float(loss) if isinstance(loss, int | float) and math.isfinite(loss) else math.inf


def _record(job: JobFolder, error: Exception) -> None:
    """Write failure.json and result.json for a job that did not even start."""
    if job.config.exists():
        return  # The folder is another job's.
    failure = {"rank": None, "kind": type(error).__name__, "message": str(error), "step": None}
    write_json(job.failure, failure | {"traceback": "".join(traceback.format_exception(error))})
    write_json(job.result, {"status": "failed"} | failure)


def run_planned(runner: Runner, planned: Command, overrides: Sequence[str], folder: Path) -> int:
    """Let Hydra run the jobs of a command in `folder`; returns its exit code."""
    configs = {}
    if not planned.open_ended:
        folders = [path.absolute() for path in planned.job_folders(folder)]
        configs = dict(zip(folders, (job.config for job in planned.jobs), strict=True))
    task = Task(runner, planned.sweep(), configs)
    return run(task, planned.arguments(overrides, folder))


def run(task: Callable[[DictConfig], Any], arguments: Sequence[str]) -> int:
    """Let Hydra run the task with these command-line arguments; returns its exit code.

    KeyboardInterrupt passes through.
    """
    degree_source.register()
    decorate = hydra.main(
        config_path=str(conf_dir()), config_name=CONFIG_NAME, version_base=VERSION_BASE
    )
    typed, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"hydra\b")
            # Of its plugins' libraries; nothing that the user could change.
            warnings.filterwarnings("ignore", category=FutureWarning)
            decorate(task)()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.argv = typed
    return 0


def show(flags: Sequence[str], overrides: Sequence[str]) -> int:
    """Let Hydra print what its flags ask for (`--cfg hydra`, `--info plugins`); runs nothing."""
    return run(lambda composed: None, [*flags, *overrides])
