"""The training order: which samples each replica reads in each optimizer step.

The shuffle lives in the sample index, so step k reads samples k * B to (k + 1) * B of it, whatever
the parallel degrees.  Nothing here has a state: a resumed run starts at its step.
"""

from __future__ import annotations

from collections.abc import Iterator


def batch_indices(
    consumed: int, global_batch_size: int, micro_batch_size: int, dp_rank: int, dp_size: int
) -> list[list[int]]:
    """Samples of one replica in the optimizer step that starts after `consumed` samples.

    One list of `micro_batch_size` indices per micro-batch.  The global batch is cut into chunks of
    `micro_batch_size * dp_size` samples, and replica k takes the k-th slice of each chunk.
    Raises ValueError when the sizes do not divide or the rank does not exist.
    """
    chunk = micro_batch_size * dp_size
    if min(global_batch_size, chunk) < 1 or global_batch_size % chunk:
        raise ValueError(
            f"global_batch_size={global_batch_size} is not a multiple of micro_batch_size="
            f"{micro_batch_size} x data_parallel_size={dp_size}"
        )
    if not 0 <= dp_rank < dp_size:
        raise ValueError(f"data-parallel rank {dp_rank} of {dp_size}")
    first = consumed + dp_rank * micro_batch_size
    starts = range(first, first + global_batch_size, chunk)
    return [list(range(start, start + micro_batch_size)) for start in starts]


class ConsumedSampler:
    """The optimizer steps [`start_step`, `max_steps`) of one replica: the samples of each.

    Yields one list per step, of one list of sample indices per micro-batch.  Serves as the
    `sampler` of a torch DataLoader.
    """

    def __init__(
        self,
        start_step: int,
        max_steps: int,
        global_batch_size: int,
        micro_batch_size: int,
        dp_rank: int,
        dp_size: int,
    ) -> None:
        self.steps = range(start_step, max_steps)
        self.sizes = (global_batch_size, micro_batch_size, dp_rank, dp_size)
        batch_indices(0, *self.sizes)  # raises for sizes that do not fit

    def __len__(self) -> int:
        """Steps that are left."""
        return len(self.steps)

    def __iter__(self) -> Iterator[list[list[int]]]:
        for step in self.steps:
            yield batch_indices(step * self.sizes[0], *self.sizes)
