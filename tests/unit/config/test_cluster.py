"""The machines that a plan knows."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from hydratron.config.cluster import ClusterConfig
from hydratron.config.clusters import clusters
from hydratron.config.folders import conf_dir
from hydratron.config.plan import plan
from hydratron.config.schema import Config
from hydratron.config.validate import problems

FILES = sorted(path.stem for path in (conf_dir() / "cluster").glob("*.yaml"))
CONSTANTS = ("gpus_per_node", "memory_gib", "peak_tflops", "memory_gbps", "link_gbps", "node_gbps")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chosen(*overrides: str) -> Config:
    (job,) = plan([*overrides, "logger=none"]).jobs
    return job.config


def test_every_machine_is_listed_once_by_its_memory() -> None:
    found = clusters()
    assert {cluster.name for cluster in found} == set(FILES) - {"custom"}
    assert found[0].name == "dgx2h_v100"
    memories = [cluster.memory_gib for cluster in found]
    assert memories == sorted(memories)
    assert len({cluster.gpu for cluster in found}) == len(found)


@pytest.mark.parametrize("name", FILES)
def test_a_choice_is_what_its_file_says(name: str) -> None:
    config = chosen(f"cluster={name}")
    assert config.cluster.name == name
    assert not problems(config)
    listed = {cluster.name: cluster for cluster in clusters()}
    if name != "custom":
        assert config.cluster == listed[name]


def test_the_defaults_are_those_of_the_h100() -> None:
    h100 = next(cluster for cluster in clusters() if cluster.name == "hgx_h100")
    for name in CONSTANTS:
        assert getattr(ClusterConfig(), name) == getattr(h100, name), name
    assert chosen("cluster=custom", "cluster.memory_gib=24").cluster.memory_gib == 24.0


def test_the_papers_machine() -> None:
    v100 = chosen("cluster=dgx2h_v100").cluster
    assert [getattr(v100, name) for name in CONSTANTS] == [16, 31.7, 130.0, 900.0, 150.0, 100.0]


@pytest.mark.parametrize("field", [f.name for f in fields(ClusterConfig) if f.type == "float"])
def test_nothing_is_below_zero(field: str) -> None:
    config = Config()
    setattr(config.cluster, field, -1.0)
    assert [problem.key for problem in problems(config)] == [f"cluster.{field}"]
