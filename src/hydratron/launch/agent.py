"""`python -m hydratron.launch.agent JOB_FOLDER ARGUMENT...`: torchrun, which says how ranks ended.

torchrun prints that for people; its own exception has it as numbers.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import wait
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from hydratron.job import JobFolder
from hydratron.launch import failure


def main() -> None:
    folder, *arguments = sys.argv[1:]
    try:
        torchrun(arguments)
    except ChildFailedError as error:
        # Standard input closes with the launcher: ranks that end for that have not failed.
        if not wait([sys.stdin.fileno()], 0):
            rank, first = error.get_first_failure()
            failure.ended(JobFolder(Path(folder)), rank, first.exitcode)
        sys.exit(1)


if __name__ == "__main__":
    main()
