"""The machines of `conf/cluster/`."""

from __future__ import annotations

from dataclasses import fields

import yaml

from hydratron.config.cluster import ClusterConfig
from hydratron.config.folders import conf_dir


def clusters() -> list[ClusterConfig]:
    """Every machine with a file of its own, the smallest memory first."""
    names = {field.name for field in fields(ClusterConfig)}
    found = []
    for path in sorted((conf_dir() / "cluster").glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem != "custom":
            found.append(ClusterConfig(**{k: v for k, v in content.items() if k in names}))
    return sorted(found, key=lambda cluster: cluster.memory_gib)
