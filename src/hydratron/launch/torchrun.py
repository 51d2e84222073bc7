"""launch=torchrun: the ranks of this host under torch's elastic agent, for GPUs and clusters."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.launch import failure
from hydratron.launch.environment import inherited
from hydratron.launch.supervision import TRAIN, agent_log, sigterm_raises, stamp

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
            env=inherited(os.environ),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert agent.stdin is not None
        earlier = stamp(folder.failure)  # The first host may not have cleared the folder yet.
        try:
            _supervise(agent, folder, earlier, poll)
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
        # Says nothing new where the agent has named a rank.
        failure.ended(folder, None, agent.returncode)


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
    agent = [sys.executable, "-m", "hydratron.launch.agent", str(folder.path)]
    worker = ["-m", "hydratron.launch.worker", "--supervised", f"--train={train}"]
    return [*agent, f"--nproc-per-node={ranks}", *where, *worker, str(folder.path)]


def _supervise(
    agent: subprocess.Popen[bytes],
    folder: JobFolder,
    earlier: tuple[int, int] | None,
    poll: Callable[[], None],
) -> None:
    failed_at: float | None = None
    while not _wait(agent, POLL_SECONDS):
        poll()
        if failed_at is None and stamp(folder.failure) not in (None, earlier):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() > failed_at + GRACE_SECONDS:
            return


def _wait(agent: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        agent.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
