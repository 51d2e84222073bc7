"""The machines of `conf/cluster/`."""

from __future__ import annotations

import yaml

from hydratron.config.cluster import ClusterConfig
from hydratron.config.folders import conf_dir


def clusters() -> list[ClusterConfig]:
    """Every machine with a file of its own, the smallest memory first."""
    found = [
        ClusterConfig(**yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in (conf_dir() / "cluster").glob("*.yaml")
        if path.stem != "custom"
    ]
    return sorted(found, key=lambda cluster: cluster.memory_gib)
