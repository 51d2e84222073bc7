"""Where the tokens of a job lie that may have been moved, or copied to another machine."""

from __future__ import annotations

from pathlib import Path

from hydratron.config.schema import DataConfig
from hydratron.errors import DataError, Problem


def tokens_of(data: DataConfig, job: Path) -> Path:
    """The folder that `data.prepared` names, or the one of its name in a cache above the job.

    The name is a hash of the content, so the same name is the same tokens: `outputs` may be moved
    as a whole.  Raises DataError where there is neither.
    """
    if data.prepared is None:
        raise DataError([Problem("data.prepared", "null", "the folder of the job's tokens")])
    written = Path(data.prepared)
    here = (above / data.cache_dir / written.name for above in job.absolute().parents)
    for place in (written, *here):
        if place.is_dir():
            return place
    expected = (
        f"not there, nor is {data.cache_dir}/{written.name} in a folder above {job}; "
        "python -m hydratron.launch.worker --prepared FOLDER says where it is now"
    )
    raise DataError([Problem("data.prepared", written, expected)])
