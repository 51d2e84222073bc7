"""`hydratron report` on a large sweep: how long the page takes to write, and to open in a browser.

`python -m tests.benchmarks.report_speed [--runs 200] [--rows 5000] [--rounds 3]`: writes a
synthetic sweep of that size (14 keys in every row), runs the command on it in a process of its
own, the start of Python included, and opens the page in headless Chromium from an empty cache
until it is drawn and the main thread has been idle for 200 ms (which are not counted).  Prints
the wall and CPU seconds of every round; `--keep FOLDER` keeps the sweep.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from hydratron.config.schema import OptimConfig
from tests.integration.browsing import QUIET, browser_path
from tests.unit.reporting.synthetic import MICRO, NANO, config, write_job

DISTINCT = 8  # files of rows, which the jobs share: what they hold changes no time
VIEWPORT = {"width": 1400, "height": 1000}
# The time of the last turn of the page, once no turn came late for a while.
IDLE = """() => new Promise(done => {
  let last = performance.now(), quiet = last;
  const tick = () => {
    const now = performance.now();
    if (now - last > 50) quiet = now;
    last = now;
    if (document.documentElement.hasAttribute("data-drawn") && now - quiet > 200) done(quiet);
    else setTimeout(tick, 10);
  };
  tick();
})"""


def main() -> None:
    args = _arguments()
    with _folder(args.keep) as folder:
        if not folder.exists():
            _write_sweep(folder, args.runs, args.rows)
        size = sum(path.stat().st_size for path in folder.glob("*/metrics.jsonl")) / 1e6
        print(f"{args.runs} runs, {args.rows} rows of 14 keys, {size:.0f} MB")
        for _ in range(args.rounds):
            wall, cpu, memory = _write(folder)
            print(f"written in {wall:.1f} s, {cpu:.1f} s of CPU, {memory:.0f} MB of memory")
        page = folder / "dashboard.html"
        print(f"page of {page.stat().st_size / 1e6:.1f} MB")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=browser_path(), args=QUIET)
            for _ in range(args.rounds):
                wall, cpu = _open(browser, page)
                print(f"opened in {wall:.2f} s, {cpu:.2f} s of the page's own thread")
            browser.close()


def _write(folder: Path) -> tuple[float, float, float]:
    """Wall and CPU seconds of the command, and the most memory in MB of any command so far."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "hydratron.cli", "report", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1e3


def _open(browser: Browser, page: Path) -> tuple[float, float]:
    """Seconds from the address to drawn and idle, and of the tasks of the page's main thread."""
    context = browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    tab = context.new_page()
    session = context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    tab.goto(page.as_uri(), wait_until="commit")
    tab.wait_for_function("document.documentElement")
    wall = float(tab.evaluate(IDLE)) / 1e3
    metrics = session.send("Performance.getMetrics")["metrics"]
    cpu = next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")
    context.close()
    return wall, cpu


def _write_sweep(folder: Path, runs: int, rows: int) -> None:
    """Two models, two degrees, five rates and as many seeds as it takes."""
    texts = [_rows(seed, rows) for seed in range(DISTINCT)]
    for index in range(runs):
        model, tp = (NANO, MICRO)[index % 2], 1 + index // 2 % 2
        lr, seed = 1e-3 * (1 + index // 4 % 5), index // 20
        cfg = replace(config(model, tp, seed=seed), optim=OptimConfig(lr=lr))
        text = texts[index % DISTINCT]
        last = json.loads(text.splitlines()[-1])
        job = write_job(folder / f"{index:03d}_{cfg.variant}-lr{lr:g}-s{seed}", cfg, [last])
        (job / "metrics.jsonl").write_text(text)


def _rows(seed: int, count: int) -> str:
    noise, lines = random.Random(seed), []
    for step in range(10, 10 * count + 1, 10):
        true = 4.0 + 3.4 * (1 + step / 500) ** -0.55
        validation = true + noise.gauss(0, 0.01)
        rate = 1.9e4 * noise.gauss(1, 0.03)
        row = {
            "step": step,
            "tokens": step * 512,
            "seconds": round(step * 512 / 1.9e4, 3),
            "train/loss": true + noise.gauss(0, 0.07),
            "val/loss": validation,
            "val/perplexity": math.exp(validation),
            "lr": 5e-4 * (1 + math.cos(math.pi * step / (10 * count))),
            "grad_norm": 0.5 + abs(noise.gauss(0, 0.12)),
            "perf/tokens_per_second": rate,
            "perf/mfu": rate / 5e4,
            "perf/memory_bytes": 410_000_000 + seed,
            "perf/data_wait": abs(noise.gauss(0, 0.01)),
            "train/loss_scale": 65536.0,
            "train/gradient_noise": abs(noise.gauss(1, 0.3)),
        }
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "sweep"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="the sweep's folder; used again if it is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
