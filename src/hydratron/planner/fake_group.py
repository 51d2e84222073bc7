"""A process group of any size in this one process, whose collectives send nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch.distributed as dist

from hydratron.parallel.mesh import PIPELINE, Mesh, build_mesh
from hydratron.planner.internals import FakeStore


@contextmanager
def fake_mesh(sizes: Mapping[str, int], stage: int = 0) -> Iterator[Mesh]:
    """The mesh of the first rank of a stage of as many ranks as its axes have.

    No process group may be open.
    """
    world = math.prod(sizes.values())
    rank = stage * (world // sizes.get(PIPELINE, 1))
    dist.init_process_group("fake", rank=rank, world_size=world, store=FakeStore())
    try:
        yield build_mesh(sizes, "cpu")
    finally:
        dist.destroy_process_group()
