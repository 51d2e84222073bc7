"""The report's panels as a W&B workspace: the one room that knows the library wandb-workspaces."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hydratron.errors import HydratronError

if TYPE_CHECKING:
    from hydratron.reporting.records import Run

__all__ = ["Saved", "require_library", "save"]


class Saved(NamedTuple):
    """Where the workspace is, and how many of the runs W&B does not hold (yet)."""

    url: str
    missing: int


def require_library() -> None:
    """HydratronError, which names the extra to install, where the library is missing."""
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise HydratronError(
            "--wandb: needs an extra that is not installed: "
            "pip install 'hydratron[wandb-workspace]'"
        )


def save(runs: Sequence[Run], title: str) -> Saved:
    """Save a new view in the W&B project of the runs.

    Raises HydratronError, which says what to do, when the runs were not logged, are not on the
    server, or no login or no answer is there.
    """
    require_library()
    from hydratron.workspace.saving import save_view

    return save_view(runs, title)
