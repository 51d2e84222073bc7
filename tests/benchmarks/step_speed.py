"""`python -m tests.benchmarks.step_speed OTHER`: this checkout's training beside another one's.

Both train the same job in alternation, A B A B; a round's speed is the median over its logged rows
after the first.  Prints each pair's ratio of seconds per step (below 1: this checkout is faster)
and their median.  Close everything else on the machine first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[2]


def speed(checkout: Path, folder: Path, overrides: list[str]) -> float:
    """Tokens per second of a job that runs in `folder`."""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "hydratron.cli", "train", *overrides,
         f"hydra.run.dir={folder}", "logger=none", "trainer.log_every_n_steps=10",
         "checkpoint.at_end=false", "data.cache_dir=cache"],
        env=os.environ | {"PYTHONPATH": str(checkout / "src")},
        cwd=folder.parent, check=True, capture_output=True,
    )  # fmt: skip
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return median([r["perf/tokens_per_second"] for r in rows if "train/loss" in r][2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("overrides", nargs="*", help="of the job")
    arguments = parser.parse_args()
    job = ["model=gpt_pico", "trainer.max_steps=120", *arguments.overrides]
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(arguments.rounds):
            found = {
                name: speed(checkout, Path(scratch) / f"{name}{number}", job)
                for name, checkout in (("theirs", arguments.other.resolve()), ("ours", HERE))
            }
            ratios.append(found["theirs"] / found["ours"])
            print(f"{number}: {ratios[-1]:.4f} of the other's seconds a step", flush=True)
    print(f"median {median(ratios):.4f}, from {min(ratios):.4f} to {max(ratios):.4f}")


if __name__ == "__main__":
    main()
