"""The command line of torchrun, on one host and on several."""

from __future__ import annotations

from pathlib import Path

from hydratron.config.parallel import ParallelConfig
from hydratron.config.schema import Config, LaunchConfig
from hydratron.job import JobFolder
from hydratron.launch.torchrun import command

JOB = JobFolder(Path("job"))


def test_one_host_needs_no_name_and_no_port() -> None:
    line = command(Config(parallel=ParallelConfig(2, 2)), JOB)
    assert "--nproc-per-node=4" in line
    assert "--standalone" in line
    assert "--local-addr=127.0.0.1" in line
    module = line.index("hydratron.launch.worker")
    assert line[module - 1] == "-m"
    assert line[-1] == "job"


def test_several_hosts_share_the_ranks() -> None:
    launch = LaunchConfig("torchrun", nodes=2, node_rank=1, rendezvous="first.example:29500")
    line = command(Config(parallel=ParallelConfig(8, 2), launch=launch), JOB)
    assert "--standalone" not in line
    for part in ("--nproc-per-node=8", "--nnodes=2", "--node-rank=1"):
        assert part in line
    assert "--master-addr=first.example" in line
    assert "--master-port=29500" in line
