"""Whether W&B holds the runs, and the one call that saves their workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydratron.errors import HydratronError
from hydratron.reporting.records import Run
from hydratron.workspace import Saved
from hydratron.workspace.spec import workspace


def save_view(runs: Sequence[Run], title: str) -> Saved:
    """Save the workspace of the runs; see `hydratron.workspace.save`."""
    project, entity = destination(runs)
    import wandb

    try:
        # The first question verifies it; a dead address should cost its time only once.
        if not wandb.login(prompt=False, verify=False):
            raise HydratronError(f"W&B: no login on this machine: `wandb login`{_then_sync(runs)}")
        api = wandb.Api()
        entity = entity or str(api.default_entity)
        missing = not_there(runs, _held(api, entity, project, runs))
        if len(missing) == len(runs):
            raise HydratronError(
                f"W&B: {entity}/{project} holds none of the runs: {sync_command(runs)}"
            )
        view = workspace(runs, title, entity, project).save()
    except HydratronError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise HydratronError(f"W&B: the workspace was not saved: {text}") from error
    return Saved(str(view.url), len(missing))


def destination(runs: Sequence[Run]) -> tuple[str, str | None]:
    """The project and entity that the configurations name; HydratronError unless there is one."""
    logged = [run for run in runs if run.settings.get("logger.kind") == "wandb"]
    if not logged:
        raise HydratronError("logger=none: W&B has none of these runs; train with logger=wandb")
    named = {
        (
            str(run.settings.get("logger.project")),
            run.settings.get("logger.entity"),
        )
        for run in logged
    }
    if len(named) > 1:
        projects = ", ".join(sorted("/".join(filter(None, pair[::-1])) for pair in named))
        raise HydratronError(
            f"logger.project={projects}: a workspace shows one project; report each by itself"
        )
    return named.pop()


def not_there(runs: Sequence[Run], held: set[tuple[str, str]]) -> list[Run]:
    """The runs that are not among the (group, name) pairs of the server."""
    return [run for run in runs if (run.sweep, run.name) not in held]


def sync_command(runs: Sequence[Run]) -> str:
    """The command that uploads what the runs logged offline."""
    folders = sorted({str(run.settings.get("logger.save_dir", "outputs")) for run in runs})
    return "`wandb sync " + " ".join(f"{folder}/wandb" for folder in folders) + "`"


def _then_sync(runs: Sequence[Run]) -> str:
    """Runs that were logged offline have to be uploaded too."""
    offline = [run for run in runs if run.settings.get("logger.mode") == "offline"]
    return f", then {sync_command(offline)}" if offline else ""


def _held(api: Any, entity: str, project: str, runs: Sequence[Run]) -> set[tuple[str, str]]:
    """Group and name of the runs that the project has of these sweeps; none without a project."""
    filters = {"group": {"$in": sorted({run.sweep for run in runs})}}
    try:
        found = api.runs(f"{entity}/{project}", filters=filters, per_page=500)
        return {(str(run.group), str(run.name)) for run in found}
    except ValueError as error:
        if "Could not find project" in str(error):
            return set()
        raise
