"""What a profile runs: its sweeps as overrides of `train -m` or `plan -m`, and how far they are."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydratron.config.command import PlannedJob
from hydratron.config.cost import training_flops
from hydratron.config.plan import plan
from hydratron.config.planning import plan_overrides
from hydratron.job import FINAL, JobFolder
from hydratron.launch.progress import say
from hydratron.launch.provenance import hardware
from hydratron.launch.settling import settle
from hydratron.reproduce.catalog import (
    EVALUATE,
    MEASURE,
    PILOT,
    PLAN,
    TRAIN,
    Artifact,
    Profile,
    Stage,
)
from hydratron.reproduce.pairings import CONTEND, Pairing, measure, pairings
from hydratron.reproduce.pilot import best_rates
from hydratron.reproduce.scores import Scored, scored
from hydratron.reproduce.starting import started

OUTPUTS = Path("outputs/reproduce")
# The small runs' cosine ends at this share of the peak rate.
FINAL_RATE = 0.1


@dataclass(frozen=True)
class Sweep:
    """One call of `hydratron train -m`, or of another verb.

    `jobs` are the folders of the jobs `planned`.
    `work` and `left`: of all jobs, and of those that are not finished; in FLOPs of training, but
    for a plan, which takes about as long whatever it plans, as the number of jobs.  A call that
    evaluates has no jobs but `scored`; its work is the number of checkpoints.  What measures is no
    call of a verb, but one `pairing`.
    """

    overrides: tuple[str, ...]
    planned: tuple[PlannedJob, ...]
    jobs: tuple[Path, ...]
    work: float
    left: float
    verb: str = TRAIN
    scored: Scored | None = None
    pairing: Pairing | None = None

    @property
    def arguments(self) -> list[str]:
        """What the verb is called with."""
        if self.scored is not None:
            return [*map(str, self.scored.trained), *self.overrides]
        return ["-m", *self.overrides]

    def command(self) -> str:
        return shlex.join(["hydratron", self.verb, *self.arguments])


@dataclass(frozen=True)
class PlannedStage:
    """A stage and its sweeps, in the order in which they run.

    `waiting` are the jobs that further sweeps start from, once they have run.
    """

    stage: Stage
    sweeps: tuple[Sweep, ...]
    waiting: tuple[Path, ...] = ()

    @property
    def jobs(self) -> list[Path]:
        return [job for sweep in self.sweeps for job in sweep.jobs]

    @property
    def pairs(self) -> list[tuple[PlannedJob, Path]]:
        """Each job with its folder."""
        sweeps = self.sweeps
        return [pair for one in sweeps for pair in zip(one.planned, one.jobs, strict=True)]

    @property
    def left(self) -> tuple[Path, ...]:
        """Its jobs without an outcome, and those without which not all of its own are known."""
        return (*self.waiting, *(j for j in self.jobs if JobFolder(j).status() not in FINAL))

    @property
    def scored(self) -> list[Scored]:
        return [sweep.scored for sweep in self.sweeps if sweep.scored is not None]

    @property
    def pairings(self) -> list[Pairing]:
        return [sweep.pairing for sweep in self.sweeps if sweep.pairing is not None]

    @property
    def count(self) -> int:
        """How many jobs, evaluations and pairings it is, as far as that is known."""
        evaluations = sum(len(one.jobs) for one in self.scored)
        return len(self.jobs) + evaluations + len(self.pairings)

    @property
    def minutes(self) -> float | None:
        """What is left of the measured time, by the work left; all of it while any job waits."""
        if self.stage.minutes is None or self.waiting:
            return self.stage.minutes
        work = sum(sweep.work for sweep in self.sweeps)
        return self.stage.minutes * sum(sweep.left for sweep in self.sweeps) / work


def sweep_lines(artifact: Artifact, profile: Profile, stage: Stage) -> list[tuple[str, ...]]:
    """The overrides of each sweep of a stage, its folder included."""
    entries = list(stage.sweeps)
    owner = stage.owner or artifact.name
    if stage.pilot:
        rates = best_rates(artifact.folder.parent / owner / PILOT, stage.pilot)
        for model, rate in rates.items():
            lowest = float(f"{FINAL_RATE * rate:.6g}")
            entries.append((f"model={model}", f"optim.lr={rate!r}", f"schedule.min_lr={lowest!r}"))
    folder = OUTPUTS / owner / profile.name / stage.name
    common = (*stage.overrides, f"hydra.sweep.dir={folder}")
    return [(*entry, *common) for entry in entries or [()]]


def plan_stages(artifact: Artifact, profile: Profile) -> list[PlannedStage]:
    """Every job of a profile, composed and validated.

    Raises ConfigError for what is wrong, JobError where a folder holds another job.
    """
    planned: dict[str, PlannedStage] = {}
    for stage in profile.stages:
        waiting: tuple[Path, ...] = ()
        if stage.verb == EVALUATE:
            jobs = planned[stage.of].jobs
            sweeps = [_scoring((*entry, *stage.overrides), jobs) for entry in stage.sweeps]
        elif stage.verb == MEASURE:
            sweeps = _measuring(artifact, profile, stage)
        else:
            lines = sweep_lines(artifact, profile, stage)
            if stage.of:
                before = planned[stage.of]
                lines = list(started(lines, before.pairs))
                waiting = before.left
            sweeps = [_sweep(stage.verb, entry) for entry in lines]
        planned[stage.name] = PlannedStage(stage, tuple(sweeps), waiting)
    return list(planned.values())


def _scoring(flags: tuple[str, ...], jobs: Sequence[Path]) -> Sweep:
    one = scored(flags, jobs)
    return Sweep(flags, (), (), len(jobs), len(one.left), EVALUATE, one)


def _measuring(artifact: Artifact, profile: Profile, stage: Stage) -> list[Sweep]:
    folder = OUTPUTS / artifact.name / profile.name / stage.name
    entries = [(*stage.overrides, *entry) for entry in stage.sweeps or ((),)]
    script = artifact.folder / CONTEND
    turns = stage.steps, stage.rounds, stage.allocators
    found = pairings(folder, script, stage.contenders, entries, *turns)
    return [
        Sweep(one.overrides, (), (), 1.0, float(one.record is None), MEASURE, pairing=one)
        for one in found
    ]


def _sweep(verb: str, lines: tuple[str, ...]) -> Sweep:
    found = plan(plan_overrides(lines) if verb == PLAN else lines, multirun=True)
    found, results = settle(found, verb)
    folders = tuple(found.job_folders(found.folder))
    configs = [job.config for job in found.jobs]
    work = [1.0 if verb == PLAN else training_flops(config) for config in configs]
    left = [0.0 if result else amount for result, amount in zip(results, work, strict=True)]
    return Sweep(lines, tuple(found.jobs), folders, sum(work), sum(left), verb)


def commands(artifact: Artifact, profile: Profile, planned: PlannedStage) -> list[str]:
    """The command of each sweep; of a stage that waits, as it is declared, `{job}` and all."""
    if not planned.waiting:
        return [sweep.command() for sweep in planned.sweeps if sweep.pairing is None]
    lines = sweep_lines(artifact, profile, planned.stage)
    return [f"hydratron {planned.stage.verb} -m {' '.join(line)}" for line in lines]


def lacking(profile: Profile) -> list[str]:
    """What this machine does not have and the profile needs; empty when it can run here."""
    found = []
    gpus = len(hardware()["gpus"])
    if gpus < profile.gpus:
        found.append(f"{profile.gpus} GPU{'s' * (profile.gpus > 1)} (here: {gpus})")
    return found + lacking_files(profile)


def lacking_files(profile: Profile) -> list[str]:
    """Its files and folders that are not there."""
    return [f"{path} (not there)" for path in profile.paths if not Path(path).exists()]


def run_stages(
    planned: Sequence[PlannedStage],
    verbs: Mapping[str, Callable[[list[str]], int]],
    stop: Callable[[int], bool],
    launcher: Sequence[str] = (),
) -> int:
    """Run every sweep by its verb, the finished jobs skipped; 0, or the code that stopped it.

    `launcher`: what chooses Hydra's launcher of the jobs, for those that are trained.
    A sweep with failed or diverged jobs does not stop the others: `unfinished` tells them apart.
    """
    for stage in planned:
        for sweep in stage.sweeps:
            if sweep.pairing is not None:
                if sweep.pairing.record is None:
                    say(f"measuring {sweep.pairing.folder}")
                    measure(sweep.pairing)
                continue
            chosen = launcher if sweep.verb == TRAIN else ()
            code = verbs[sweep.verb]([*sweep.arguments, *chosen])
            if stop(code):
                return code
    return 0


def unfinished(planned: Sequence[PlannedStage]) -> list[str]:
    """One line for every job without an outcome, which a diverged one has; evaluation; pairing."""
    states = ((job, JobFolder(job).status()) for stage in planned for job in stage.jobs)
    lines = [f"job {job} {state}" for job, state in states if state not in FINAL]
    starts = ((stage.stage.name, job) for stage in planned for job in stage.waiting)
    lines += [f"stage {name} waits for {job}" for name, job in starts]
    tasks = (one for stage in planned for one in stage.scored)
    lines += [f"job {job} not scored by {one.task}" for one in tasks for job in one.left]
    pairs = (one for stage in planned for one in stage.pairings)
    return lines + [f"pairing {one.folder} not measured" for one in pairs if one.record is None]
