"""From job folders to what is committed: curves.csv, and provenance.json of all jobs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hydratron.config.keys import carries
from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256, json_sha256
from hydratron.reporting.records import Run
from hydratron.reproduce.catalog import CRITERIA, PILOT, PROFILES, Artifact

IDENTITY = ("run", "status", "model", "parallel", "seed", "parameters", "blocks")
POSITION = ("step", "tokens")
WHOLE = ("seed", "parameters", "blocks", "step", "tokens")


def curves(runs: Sequence[Run], metrics: Sequence[str], settings: Sequence[str]) -> pd.DataFrame:
    """Every logged row that has one of the metrics, and one of the evaluations, with its run.

    Columns: run, status, model, parallel, seed, parameters, blocks (weights of the transformer
    blocks), the settings, step, tokens, the metrics.  A run that logged nothing is one row without
    a step, so that it is not forgotten.
    """
    rows = []
    for run in runs:
        named = (run.name, run.status, run.model, run.parallel, run.seed, run.parameters)
        who = dict(zip(IDENTITY, (*named, run.blocks), strict=True))
        who |= {key: _setting(run, key) for key in settings}
        logged = [row for row in run.rows if any(row.get(metric) is not None for metric in metrics)]
        if any(metric in run.evaluated for metric in metrics):
            last = run.rows[-1] if run.rows else {}
            logged.append({key: last.get(key) for key in POSITION} | run.evaluated)
        rows += [who | {key: row.get(key) for key in (*POSITION, *metrics)} for row in logged]
        if not logged:
            rows.append(who)
    frame = pd.DataFrame(rows, columns=[*IDENTITY, *settings, *POSITION, *metrics])
    return frame.astype(dict.fromkeys(WHOLE, "Int64"))


def _setting(run: Run, key: str) -> Any:
    """The value of an option; a path as it is from the working folder, wherever that lies."""
    value = run.settings.get(key)
    if not isinstance(value, str) or not carries(key, "path"):
        return value
    place, here = Path(value), Path.cwd()
    return place.relative_to(here).as_posix() if place.is_relative_to(here) else value


def read_curves(path: Path) -> pd.DataFrame:
    """What `curves` made, from the file it was written to, to the last digit.

    Raises HydratronError when there is no such file.
    """
    try:
        texts = pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise HydratronError(f"{path}: not there; run the profile first") from None
    frame = texts.apply(_numbers)
    return frame.astype({name: "Int64" for name in WHOLE if name in frame})


def diverged_notes(frame: pd.DataFrame) -> list[str]:
    """One line for each run of the curves that diverged: it is reported, not dropped."""
    runs = frame.loc[frame["status"] == "diverged", "run"].drop_duplicates()
    return [f"diverged: {run}" for run in runs]


def _numbers(column: pd.Series) -> pd.Series:
    """Floats, each the one that was written, which pandas' own reader need not give; or texts."""
    try:
        return column.astype("float64")
    except ValueError:
        return column


def provenance(artifact: Artifact, runs: Sequence[Run], command: str) -> dict[str, Any]:
    """Where the results come from: what all jobs share once, what differs job by job.

    `declared` holds the hashes of the files that were fixed before the runs.
    """
    recorded = [run.provenance for run in runs]
    seconds = [run.final("seconds") or 0.0 for run in runs]
    return {
        "command": command,
        **shared(recorded),
        "job_seconds": round(sum(seconds), 1),
        "data_sha256": distinct([p.get("data_sha256") for p in recorded]),
        **_evaluations(runs),
        "declared": declared(artifact),
        "jobs": [
            {
                "run": run.name,
                "status": run.status,
                "seconds": round(spent, 1),
                "overrides": run.provenance.get("overrides"),
            }
            for run, spent in zip(runs, seconds, strict=True)
        ],
    }


def shared(recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What every provenance has, of all of them together."""
    return {
        "commit": distinct([p.get("commit") for p in recorded]),
        "dirty": any(p.get("dirty") is not False for p in recorded),
        "started": min((str(p["started"]) for p in recorded if "started" in p), default=None),
        "versions": distinct([p.get("versions") for p in recorded]),
        "hardware": distinct([p.get("hardware") for p in recorded]),
        "platform": distinct([p.get("platform") for p in recorded]),
    }


def declared(artifact: Artifact) -> dict[str, str]:
    """The hashes of the files that were fixed before the runs."""
    files = [artifact.folder / name for name in (CRITERIA, PROFILES, PILOT)]
    return {file.name: file_sha256(file) for file in files if file.is_file()}


def _evaluations(runs: Sequence[Run]) -> dict[str, Any]:
    """On what the runs were scored and how, once; nothing where none was."""
    keys = ("task", "file", "sha256", "official", "known_as", "protocol")
    found = {
        json_sha256(told): told
        for run in runs
        for told in ({key: record.get(key) for key in keys} for record in run.evaluations)
    }
    return {"evaluations": list(found.values())} if found else {}


def distinct(values: Sequence[Any]) -> Any:
    """The one value that all share, else the list of all distinct ones."""
    found = {json_sha256(value): value for value in values}
    return next(iter(found.values())) if len(found) == 1 else list(found.values())
