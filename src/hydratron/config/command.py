"""What a command is once it is planned: its jobs, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from hydratron.config.identity import identity
from hydratron.config.keys import carries
from hydratron.config.naming import Label
from hydratron.config.schema import Config

RUN_DIR, SWEEP_DIR, SUBDIR = "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"
BASIC, JOBLIB = "basic", "joblib"
PLANNED = "hydra_plugins.hydratron_sweeper.PlannedSweeper"


@dataclass(frozen=True)
class PlannedJob:
    """One job of a command: what it runs, what was asked for, and its folder's name.

    `label` is what `${hydratron_job:}` stands for in a folder's name.
    """

    config: Config
    overrides: list[str]
    name: str
    label: Label

    def beside(self, other: Config) -> PlannedJob:
        """The same job by a name that says what differs from `other`, which has its name now.

        It stays the same where nothing of the name is ours to choose.
        """
        mine, theirs = identity(self.config), identity(other)
        differing = [key for key in mine if mine[key] != theirs[key]]
        # How often is measured may follow from what is said anyway.
        said = [key for key in differing if not carries(key, "bookkeeping")]
        label = self.label.saying(said or differing)
        if str(label) == str(self.label):
            label = replace(label, number=label.number + 1)
        return replace(self, name=self.name.replace(str(self.label), str(label)), label=label)


@dataclass(frozen=True)
class Command:
    """All jobs of a command, and where they go.

    `folder` is the sweep's, or the job's own when `hydra.run.dir` names one (`own_folder`).
    `fresh`: the folder is named by the time and must not exist yet.  `open_ended`: a sweeper that
    decides as it goes; `jobs` then holds the base configuration alone, and `subdir` is the pattern
    of its jobs' names.  `launcher` is Hydra's choice of who starts its jobs.
    """

    jobs: list[PlannedJob]
    folder: Path
    multirun: bool
    own_folder: bool
    fresh: bool
    open_ended: bool
    subdir: str = ""
    launcher: str = BASIC

    @property
    def here(self) -> bool:
        """Whether jobs run on this host one after another, for all that Hydra says."""
        return self.launcher == BASIC

    @property
    def beside(self) -> bool:
        """Whether they run in processes of this one, several at a time."""
        return self.launcher == JOBLIB

    def job_folders(self, folder: Path) -> list[Path]:
        """Where each planned job goes when the sweep's folder is `folder`."""
        return [folder if self.own_folder else folder / job.name for job in self.jobs]

    def place(self, folder: Path) -> str:
        """The override with which the same command finds these jobs again."""
        if self.multirun:
            return f"{SWEEP_DIR}={_quoted(folder)}"
        return f"{RUN_DIR}={_quoted(self.job_folders(folder)[0])}"

    def arguments(self, overrides: Sequence[str], folder: Path) -> list[str]:
        """Hydra's command line for these jobs, with its folder fixed to `folder`."""
        if not self.multirun:
            return [*overrides, "hydra.mode=RUN", self.place(folder)]
        fixed = f"hydra.sweeper._target_={PLANNED}"
        if self.open_ended:
            fixed = f"{SUBDIR}={_quoted(self.subdir)}"
        return ["--multirun", *overrides, fixed, self.place(folder)]

    def first(self, overrides: Sequence[str]) -> list[str]:
        """Hydra's command line for the first job alone, which Hydra can print; of a sweep it
        prints nothing."""
        if not self.multirun:
            return [*overrides]
        own = [line for line in overrides if line.lstrip("+~").startswith(("hydra.", "hydra/"))]
        return [*own, *self.jobs[0].overrides, "hydra.mode=MULTIRUN"]

    def sweep(self) -> list[list[str]]:
        """Of each job of a sweep that is planned, what Hydra composes it from."""
        if self.open_ended or not self.multirun:
            return []
        return [[*job.overrides, f"{SUBDIR}={_quoted(job.name)}"] for job in self.jobs]


def _quoted(text: object) -> str:
    return QuotedString(str(text), Quote.single).with_quotes()
