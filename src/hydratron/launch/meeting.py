"""Where the ranks of one host find each other: a port of its own, on the loopback."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from hydratron.errors import JobError

if TYPE_CHECKING:  # The launcher does without torch.
    from torch.distributed import Store

HERE = "127.0.0.1"
PATIENCE_SECONDS = 5.0


def check() -> None:
    """Raise JobError where no process reaches another by the loopback.

    In a network namespace it is down at first; ranks would wait there for many minutes.
    """
    try:
        with socket.create_server((HERE, 0)) as listener:
            socket.create_connection(listener.getsockname(), PATIENCE_SECONDS).close()
    except OSError as error:
        reason = f"{HERE}: {error.strerror or error}"
        raise JobError(f"{reason}; ranks meet there: is it up? (ip link set lo up)") from None


@dataclass(frozen=True)
class Meeting:
    """One rank's way to the store of its job; the launcher has opened the port, rank 0 serves it.

    Nothing is written to a disk, so that every file system will do.
    """

    port: int
    listener: socket.socket | None
    """The open port, on rank 0 alone."""

    def store(self, world_size: int, timeout: timedelta) -> Store:
        """The store that all ranks of the job share; it ends with rank 0."""
        from torch.distributed import TCPStore

        return TCPStore(
            HERE,
            self.port,
            world_size,
            is_master=self.listener is not None,
            timeout=timeout,
            wait_for_workers=False,
            master_listen_fd=self.listener.detach() if self.listener else None,
        )
