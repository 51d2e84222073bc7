"""A process group of any size in this one process, whose collectives send nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from hydratron.parallel.mesh import Mesh, build_mesh


@contextmanager
def fake_mesh(tp: int, dp: int) -> Iterator[Mesh]:
    """The mesh of rank 0 of tp * dp ranks; no process group may be open."""
    dist.init_process_group("fake", rank=0, world_size=tp * dp, store=FakeStore())
    try:
        yield build_mesh(tp, dp, "cpu")
    finally:
        dist.destroy_process_group()
