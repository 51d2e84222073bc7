"""launch=torchrun: the ranks of this host under torch's elastic agent, for GPUs and clusters."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.launch import failure
from hydratron.launch.supervision import TRAIN, sigterm_raises

POLL_SECONDS = 0.25
# The agent ends the other ranks after the first failure, but waits 30 s for one that hangs.
GRACE_SECONDS = 5.0
INTERRUPT_SECONDS = 30.0


def launch(config: Config, folder: JobFolder, poll: Callable[[], None], train: str = TRAIN) -> None:
    """Run this host's ranks of the job in `folder` and return when the agent has ended.

    `poll` is called a few times a second.  What became of the job is in result.json or
    failure.json.  An exception in this process (Ctrl-C, SIGTERM) ends the ranks before it leaves.
    """
    log = agent_log(folder, config.launch.node_rank)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, sigterm_raises():
        # Agent and ranks hold the reading end of this pipe: it closes when the launcher dies, and
        # the ranks end.  A session of its own keeps the terminal's Ctrl-C for the launcher.
        agent = subprocess.Popen(
            command(config, folder, train),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert agent.stdin is not None
        try:
            _supervise(agent, folder, poll)
        except BaseException:
            agent.terminate()
            _wait(agent, INTERRUPT_SECONDS)
            raise
        finally:
            agent.stdin.close()
            hangs = not _wait(agent, GRACE_SECONDS)
            agent.kill()
            agent.wait()
    if agent.returncode and not hangs:
        _record(agent.returncode, folder, log)


def command(config: Config, folder: JobFolder, train: str = TRAIN) -> list[str]:
    """The agent's command line on this host."""
    launch = config.launch
    ranks = config.parallel.world_size // launch.nodes
    if launch.rendezvous is None:
        where = ["--standalone", "--local-addr=127.0.0.1"]
    else:
        host, port = launch.rendezvous.rsplit(":", 1)
        where = [f"--nnodes={launch.nodes}", f"--node-rank={launch.node_rank}"]
        where += [f"--master-addr={host}", f"--master-port={port}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    worker = ["-m", "hydratron.launch.worker", "--supervised", f"--train={train}"]
    return [*torchrun, *where, *worker, str(folder.path)]


def agent_log(folder: JobFolder, node_rank: int = 0) -> Path:
    """Where the output of a host's agent goes."""
    return folder.path / "logs" / (f"torchrun_{node_rank}.log" if node_rank else "torchrun.log")


def _supervise(agent: subprocess.Popen[bytes], folder: JobFolder, poll: Callable[[], None]) -> None:
    failed_at: float | None = None
    while not _wait(agent, POLL_SECONDS):
        poll()
        if failed_at is None and folder.failure.exists():
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() > failed_at + GRACE_SECONDS:
            return


def _wait(agent: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        agent.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _record(code: int, folder: JobFolder, log: Path) -> None:
    """The agent's report ends with the rank that failed first and its exit code."""
    report = log.read_text(errors="replace")
    ranks = re.findall(r"rank +: (\d+) .*\n +exitcode +: (-?\d+)", report)
    if ranks:
        rank, rank_code = ranks[-1]
        failure.ended(folder, int(rank), int(rank_code))
    else:
        failure.ended(folder, None, code)
