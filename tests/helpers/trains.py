"""Small training functions for the launcher's tests: real collectives, no model."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

import torch
import torch.distributed as dist

from hydratron.checkpoint.manifest import Verified
from hydratron.config.schema import Config
from hydratron.job import JobFolder, checkpoint_step


def complete(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """One row per step; the result tells what this rank saw of its surroundings."""
    total = torch.ones(())
    done = checkpoint_step(resume_from.path) if resume_from else 0
    for step in range(done + 1, config.trainer.max_steps + 1):
        dist.all_reduce(total)
        if dist.get_rank() == 0:
            log(folder, step)
    return {
        "status": "completed",
        "step": config.trainer.max_steps,
        "val/loss": 4.5,
        "sum": total.item(),
        "threads": torch.get_num_threads(),
        "resume_from": resume_from and str(resume_from.path),
        "run_id": os.environ["TORCHELASTIC_RUN_ID"],
        "marker": os.environ.get("MARKER"),
        "unwanted": [m for m in ("hydra", "omegaconf", "wandb", "rich") if m in sys.modules],
    }


def raise_on_last(
    config: Config, folder: JobFolder, resume_from: Verified | None
) -> dict[str, Any]:
    """The last rank raises at step 3 while the others wait for it."""
    log(folder, 3)
    if _last():
        raise ValueError("on purpose")
    dist.barrier()
    raise AssertionError("not reached")


def kill_last(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """SIGKILL of the last rank while the others wait for it."""
    if _last():
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()
    raise AssertionError("not reached")


def exit_on_last(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """The last rank leaves by sys.exit."""
    if _last():
        sys.exit(3)
    dist.barrier()
    raise AssertionError("not reached")


def vanish_on_last(
    config: Config, folder: JobFolder, resume_from: Verified | None
) -> dict[str, Any]:
    """The last rank leaves without any exception."""
    if _last():
        os._exit(7)
    dist.barrier()
    raise AssertionError("not reached")


def hang(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Every rank says that it runs, then sleeps."""
    (folder.path / f"running_{dist.get_rank()}").write_text(str(os.getpid()))
    time.sleep(300)
    raise AssertionError("not reached")


def stubborn(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Like hang, and SIGTERM changes nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hang(config, folder, resume_from)


def deaf(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """The last rank raises, the others sleep through SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    dist.barrier()
    if _last():
        raise ValueError("on purpose")
    time.sleep(300)
    raise AssertionError("not reached")


def preempt(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Go on until a rank gets a signal, save, and end in order; once resumed, complete.

    The result counts the signals of the last rank.
    """
    if resume_from is not None:
        return {"status": "completed", "step": 2}
    from tests.helpers.jobs import checkpoint  # which imports rich

    got: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: got.append(number))
    (folder.path / f"running_{dist.get_rank()}").write_text(str(os.getpid()))
    last = torch.zeros((), dtype=torch.long)
    while not last:
        time.sleep(0.02)
        last = torch.tensor(got[-1] if got else 0)
        dist.all_reduce(last, dist.ReduceOp.MAX)
    counted = torch.tensor(len(got))
    dist.broadcast(counted, dist.get_world_size() - 1)
    if dist.get_rank() == 0:
        checkpoint(folder, 1)
    name = signal.Signals(int(last)).name
    return {"status": "preempted", "step": 1, "signal": name, "signals": int(counted)}


def fail_and_stay(
    config: Config, folder: JobFolder, resume_from: Verified | None
) -> dict[str, Any]:
    """The last rank raises, and every process is kept alive by a thread of its own."""
    threading.Thread(target=time.sleep, args=(300,)).start()
    if _last():
        raise ValueError("on purpose")
    dist.barrier()
    raise AssertionError("not reached")


def fail_in_validation(
    config: Config, folder: JobFolder, resume_from: Verified | None
) -> dict[str, Any]:
    """Real training, in which the last rank raises as it validates."""
    from hydratron.training.module import LanguageModule
    from hydratron.training.train import train

    def fail(*arguments: object) -> None:
        raise ValueError("on purpose")

    if _last():
        LanguageModule.validation_step = fail  # type: ignore[method-assign,assignment]
    return train(config, folder, resume_from)


def lose_a_data_worker(
    config: Config, folder: JobFolder, resume_from: Verified | None
) -> dict[str, Any]:
    """Real training, in which the last rank's data worker is killed after the first row."""
    from hydratron.training.train import train

    def kill() -> None:
        while not folder.metrics.exists():
            time.sleep(0.02)
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    if _last():
        threading.Thread(target=kill, daemon=True).start()
    return train(config, folder, resume_from)


def lose_a_rank(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Real training, in which the last rank is killed after the first row."""
    from hydratron.training.train import train

    def kill() -> None:
        while not folder.metrics.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)

    if _last():
        threading.Thread(target=kill, daemon=True).start()
    return train(config, folder, resume_from)


def log(folder: JobFolder, step: int) -> None:
    """Append one row of metrics."""
    row = {"step": step, "tokens": 10 * step, "seconds": 0.1 * step, "train/loss": 5.0 - 0.1 * step}
    with folder.metrics.open("a") as file:
        file.write(json.dumps(row) + "\n")


def _last() -> bool:
    return dist.get_rank() == dist.get_world_size() - 1


def stop_a_rank(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Real training, in which the last rank is stopped after the first row."""
    from hydratron.training.train import train

    def stop() -> None:
        while not folder.metrics.exists():
            time.sleep(0.02)
        (folder.path / "stood").write_text(str(time.monotonic()))
        os.kill(os.getpid(), signal.SIGSTOP)

    if _last():
        threading.Thread(target=stop, daemon=True).start()
    return train(config, folder, resume_from)


def skip_a_collective(
    config: Config, folder: JobFolder, resume_from: Verified | None
) -> dict[str, Any]:
    """Real training, in which the last rank sleeps where the others reduce, in step 3."""
    from hydratron.training.module import LanguageModule
    from hydratron.training.train import train

    step = LanguageModule.training_step

    def sleep(self: LanguageModule, item: Any, batch_index: int) -> None:
        if self.trainer.global_step == 2:
            (folder.path / "stood").write_text(str(time.monotonic()))
            time.sleep(300)
        step(self, item, batch_index)

    if _last():
        LanguageModule.training_step = sleep  # type: ignore[method-assign]
    return train(config, folder, resume_from)
