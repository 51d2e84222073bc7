"""A job folder belongs to whoever started its ranks, the first host's launcher or rank 0 itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from filelock import Timeout

from hydratron.errors import JobError
from hydratron.job import JobFolder
from hydratron.locks import locked

# Whoever asks whether the job still runs holds the lock for an instant.
PATIENCE_SECONDS = 0.5


@contextlib.contextmanager
def owned(job: JobFolder, first: bool) -> Iterator[None]:
    """Keep a second starter out of the folder, which is made; the lock falls with this process.

    Others than the `first` host rely on its lock, over the shared file system.
    """
    job.path.mkdir(parents=True, exist_ok=True)
    if not first:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(job.lock, PATIENCE_SECONDS))
        except Timeout:
            raise JobError(f"{job.path}: another process is running this job") from None
        yield
