"""`python -m hydratron.launch.agent JOB_FOLDER ARGUMENT...`: torchrun, which says how ranks ended.

torchrun prints that for people; its own exception has it as numbers.
"""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import wait
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from hydratron.job import JobFolder
from hydratron.launch import failure, memory


def main() -> None:
    # Slurm sends it to every process of a job; the launcher answers.  Ranks inherit this.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    folder, *arguments = sys.argv[1:]
    killed = memory.kills()
    try:
        torchrun(arguments)
    except ChildFailedError as error:
        # Standard input closes with the launcher: ranks that end for that have not failed.
        if not wait([sys.stdin.fileno()], 0):
            rank, first = error.get_first_failure()
            starved = memory.kills() > killed
            failure.ended(JobFolder(Path(folder)), rank, first.exitcode, starved)
        sys.exit(1)


if __name__ == "__main__":
    main()
