"""Real jobs that a fault hits at a random time, and that the same command goes on with."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hydratron.checkpoint.manifest import verify
from hydratron.config.load import dump
from hydratron.config.schema import Config
from hydratron.errors import HydratronError
from hydratron.job import JobFolder, checkpoint_step
from hydratron.launch.run import run_job
from hydratron.launch.supervision import stamp
from tests.helpers.jobs import descendants, living, position, wait_until, writing_below
from tests.helpers.launchers import python
from tests.helpers.training import small_training

INTERVAL = 20
LAUNCHER = """
import sys
from pathlib import Path
from hydratron.config.load import load
from hydratron.job import exit_code
from hydratron.launch.run import run_job
from tests.helpers.jobs import position
folder = Path(sys.argv[1])
sys.exit(exit_code(run_job(load(folder / "in.yaml"), folder / "job", [], position())))
"""
# By their names the degrees and the data workers of each rank.
SHAPES = {
    "single": {"tp": 1, "dp": 1, "data__num_workers": 0},
    "tp2": {"tp": 2, "dp": 1, "data__num_workers": 0},
    "dp2": {"tp": 1, "dp": 2, "data__num_workers": 0},
    "single with workers": {"tp": 1, "dp": 1, "data__num_workers": 1},
    "tp2 with workers": {"tp": 2, "dp": 1, "data__num_workers": 1},
}


def storm_config(data: Path, shape: str, steps: int) -> Config:
    """A tiny job that saves often; dropout, so that its random states count too."""
    return small_training(
        data, **SHAPES[shape], trainer__max_steps=steps, trainer__val_every_n_steps=INTERVAL,
        trainer__timeout_seconds=240, model__dropout=0.1, checkpoint__every_n_steps=INTERVAL,
        checkpoint__keep=2, launch__threads_per_rank=1,
    )  # fmt: skip


def clean_losses(data: Path, shape: str, steps: int, folder: Path) -> list[tuple[int, float]]:
    result = run_job(storm_config(data, shape, steps), folder, [], position())
    assert result["status"] == "completed", result
    return losses(JobFolder(folder))


def losses(job: JobFolder) -> list[tuple[int, float]]:
    """Step and training loss of every row that has one."""
    rows = [json.loads(line) for line in job.metrics.read_text().splitlines()]
    return [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]


def last_step(job: JobFolder) -> int:
    """The newest step in whole rows of the metrics, 0 without any."""
    with suppress(OSError, ValueError, IndexError):
        lines = job.metrics.read_text(errors="replace").rpartition("\n")[0].splitlines()
        return int(json.loads(lines[-1])["step"])
    return 0


def saved_step(job: JobFolder) -> int:
    """Step of the newest checkpoint that verifies; all that have a manifest must, but a marked."""
    for path in job.checkpoints_newest_first():
        try:
            verify(path)
        except HydratronError:
            if (path / "damaged").exists():
                continue
            raise
        return checkpoint_step(path)
    return 0


@dataclass
class Storm:
    """One job in `folder`, and what befell it."""

    folder: Path
    config: Config
    draw: random.Random
    faults: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # steps, by fault

    def __post_init__(self) -> None:
        self.job = JobFolder(self.folder / "job")
        self.folder.mkdir(parents=True, exist_ok=True)
        dump(self.config, self.folder / "in.yaml")

    def attempt(self, fault: Callable[[Storm, int], str] | None, seconds: float = 1.0) -> bool:
        """Run the job from a process of its own until it ends; True when it is complete.

        The fault comes at a random time, `seconds` at most after the ranks have made a step; it is
        given the launcher's number, and says what it was.
        """
        with (self.folder / "said").open("ab") as said:
            launcher = python(
                "-c", LAUNCHER, str(self.folder), start_new_session=True, cwd=self.folder,
                stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip
        below: set[int] = set()
        try:
            if fault is not None and self._wait_for_steps(launcher.poll):
                time.sleep(self.draw.uniform(0.0, seconds))
                below = descendants(launcher.pid)
                self.strike(fault, launcher.pid)
            launcher.wait(600)
        except subprocess.TimeoutExpired:
            told = (self.folder / "said").read_text()
            raise AssertionError(f"it goes on after {self.faults[-1:]}: {told}") from None
        finally:
            below |= descendants(launcher.pid)
            launcher.kill()
            launcher.wait()
        self.check_nothing_lives(below)
        return launcher.returncode == 0

    def attempt_here(self, fault: Callable[[Storm, int], str], seconds: float = 1.0) -> bool:
        """The same with this process as the launcher, which spares its start."""
        ended = threading.Event()

        def strike() -> None:
            if self._wait_for_steps(lambda: ended.is_set() or None):
                time.sleep(self.draw.uniform(0.0, seconds))
                self.strike(fault, 0)

        killer = threading.Thread(target=strike)
        killer.start()
        try:
            result = run_job(self.config, self.job.path, [], position())
        finally:
            ended.set()
            killer.join()
        self.check_nothing_lives(set())
        return bool(result["status"] == "completed")

    def strike(self, fault: Callable[[Storm, int], str], launcher: int) -> None:
        if self.job.result.exists():
            return  # It was faster.
        self.faults.append(fault(self, launcher))

    def check_nothing_lives(self, below: set[int]) -> None:
        """No process of the job is left, and what it leaves can be gone on from; notes the loss."""
        gone = wait_until(lambda: not (living(below) or writing_below(self.folder / "job")), 30.0)
        assert gone, (self.faults, living(below), writing_below(self.folder / "job"))
        saved, done = saved_step(self.job), last_step(self.job)
        if len(self.lost) < len(self.faults):
            self.lost.append(max(0, done - saved))

    def _wait_for_steps(self, ended: Callable[[], object]) -> bool:
        """False when the attempt ended before the ranks made a step."""
        before, step = stamp(self.job.metrics), saved_step(self.job)

        def stepped() -> bool:
            # The worker writes a new file of the rows that stay, and goes on in it.
            return stamp(self.job.metrics) not in (before, None) and last_step(self.job) > step

        wait_until(lambda: ended() is not None or stepped(), 240.0)
        return ended() is None


def kill_any(storm: Storm, launcher: int) -> str:
    """SIGKILL of the launcher, of a rank or of a data worker."""
    pids = sorted(writing_below(storm.job.path)) + [launcher] * (launcher > 0)
    victim = storm.draw.choice(pids)
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    return "SIGKILL of the launcher" if victim == launcher else "SIGKILL of a rank or worker"


def kill_launcher(storm: Storm, launcher: int) -> str:
    os.kill(launcher, signal.SIGKILL)
    return "SIGKILL of the launcher"


def terminate(storm: Storm, launcher: int) -> str:
    """SIGTERM to the launcher, to one rank, or to all."""
    ranks = sorted(writing_below(storm.job.path))
    for pid in storm.draw.choice([[launcher], [storm.draw.choice(ranks)], [launcher, *ranks]]):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return "SIGTERM"


def pause(storm: Storm, launcher: int) -> str:
    """A rank stands still for a second, then the launcher is killed."""
    victim = storm.draw.choice(sorted(writing_below(storm.job.path)))
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(victim, signal.SIGCONT)
        time.sleep(storm.draw.uniform(0.0, 0.5))
    os.kill(launcher, signal.SIGKILL)
    return "SIGSTOP, SIGCONT, then SIGKILL"


def fill_disk(storm: Storm, launcher: int) -> str:
    """No file of the ranks may grow beyond 4 KB from now on."""
    for pid in sorted(writing_below(storm.job.path)):
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    return "full disk"


def damage(storm: Storm, launcher: int) -> str:
    """SIGKILL of the launcher, and a bit of the newest checkpoint flips: two faults."""
    os.kill(launcher, signal.SIGKILL)
    wait_until(lambda: not writing_below(storm.job.path), 15.0)
    found = storm.job.checkpoints_newest_first()
    if len(found) < 2:
        return "SIGKILL of the launcher"
    shard = next(found[0].glob("*.distcp"))
    content = bytearray(shard.read_bytes())
    content[storm.draw.randrange(len(content))] ^= 1
    shard.write_bytes(content)
    (found[0] / "damaged").touch()
    return "SIGKILL and a damaged checkpoint"


FAULTS = (kill_any, terminate, pause, fill_disk, damage)
