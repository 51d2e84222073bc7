"""`python -m tests.benchmarks.step_speed OTHER`: a training step here beside another checkout's.

One process of each trains the same job and they take turns of a few steps, so that what else the
machine does falls on both.  Prints the median of the ratios of two turns (below 1: this checkout is
faster).  Close everything else first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[2]
# Runs in either checkout, whose `_trainer` may take more arguments.
TURNS = """
import os, sys, time, warnings
warnings.filterwarnings("ignore")
from pathlib import Path
from lightning.pytorch.callbacks import Callback
import hydratron.training.train as training
from hydratron.launch.worker import torchrun_environment, worker

class Turn(Callback):
    began = 0.0
    def on_train_batch_start(self, trainer, module, batch, i):
        if i % int(sys.argv[2]) == 0:
            print("turn", time.perf_counter() - self.began, flush=True)
            sys.stdin.readline() or os._exit(0)
            self.began = time.perf_counter()

plain = training._trainer
training._trainer = lambda config, own, *more: plain(config, [*own, Turn()], *more)
os.environ.update(torchrun_environment(0, 1))
worker(Path(sys.argv[1]))
"""
JOB = (
    "trainer.max_steps=100000", "trainer.val_every_n_steps=100000", "checkpoint.at_end=false",
    "launch.threads_per_rank=1", "logger=none", "trainer.peak_flops=1e12", "data.cache_dir=cache",
)  # fmt: skip


class Trainer:
    """A process that trains in turns."""

    def __init__(self, checkout: Path, folder: Path, steps: int, overrides: list[str]) -> None:
        environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
        command = [sys.executable, "-W", "ignore", "-m", "hydratron.cli", "train", *JOB, *overrides]
        shown = subprocess.run(
            [*command, "--cfg", "job"], env=environment, cwd=folder.parent, text=True,
            check=True, capture_output=True,
        ).stdout  # fmt: skip
        tokens = subprocess.run(
            [*command, "--prepare-only"], env=environment, cwd=folder.parent, text=True,
            check=True, capture_output=True,
        ).stdout.strip()  # fmt: skip
        folder.mkdir()
        found = shown.partition("\n")[2].replace("prepared: null", f"prepared: {tokens}")
        (folder / "config.yaml").write_text(found)
        self.process = subprocess.Popen(
            [sys.executable, "-c", TURNS, folder.name, str(steps)], env=environment,
            cwd=folder.parent, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.answer()

    def answer(self) -> float:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("turn "):
                return float(line.split()[1])
        raise SystemExit("a training ended early")

    def turn(self) -> float:
        """Seconds of the next steps."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a checkout to compare with")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("overrides", nargs="*", help="of the job, e.g. model=gpt_pico")
    given = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = (
            Trainer(checkout, Path(scratch) / name, given.steps, given.overrides)
            for name, checkout in (("ours", HERE), ("theirs", given.other.resolve()))
        )
        for trainer in (ours, theirs):
            trainer.turn()
        ratios = []
        for number in range(given.turns):
            if number % 2:
                first, second = ours.turn(), theirs.turn()
            else:
                second, first = theirs.turn(), ours.turn()
            ratios.append(first / second)
        for trainer in (ours, theirs):
            trainer.process.kill()
    low, high = sorted(ratios)[len(ratios) // 4], sorted(ratios)[3 * len(ratios) // 4]
    print(f"{median(ratios):.4f} of the other's time (quartiles {low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
