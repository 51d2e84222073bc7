"""The sweeper of planned jobs, here because Hydra takes sweepers from `hydra_plugins` alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write


class PlannedSweeper(Sweeper):
    """Launches the jobs that its task function brings, in the place of Hydra's basic sweeper.

    What was checked before the start is then what runs: nothing is enumerated a second time.  The
    task function has `jobs`, the overrides of each; `max_batch_size` and `params` are those of the
    basic sweeper, whose configuration this one takes over.
    """

    def __init__(self, max_batch_size: int | None, params: Any = None) -> None:
        self.max_batch_size = max_batch_size

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        jobs: Sequence[Sequence[str]] = task_function.jobs  # type: ignore[attr-defined]
        _without_idle(config, min(len(jobs), self.max_batch_size or len(jobs)))
        self.config, self.jobs = config, jobs
        self.folder = Path(config.hydra.sweep.dir)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Any]:
        """Launch in batches, each job by its place in the plan; the `arguments` are planned."""
        self.folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self.folder / "multirun.yaml")
        size = self.max_batch_size or len(self.jobs)
        returned = []
        for first in range(0, len(self.jobs), size):
            batch = self.jobs[first : first + size]
            ended = self.launcher.launch(batch, initial_job_idx=first)
            returned.append([job.return_value for job in ended])
        return returned


def _without_idle(config: DictConfig, jobs: int) -> None:
    """No more processes of joblib's than jobs: one that never had a job dies of Ctrl-C, and then
    joblib kills the others, whose jobs are being saved."""
    launcher = config.hydra.launcher
    if "n_jobs" in launcher:
        from joblib import effective_n_jobs

        with open_dict(launcher), read_write(launcher):
            launcher.n_jobs = min(effective_n_jobs(launcher.n_jobs), jobs)
