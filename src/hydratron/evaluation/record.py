"""evaluation.json: what was scored, how, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydratron.config.schema import Config
from hydratron.evaluation.checkpoints import Opened
from hydratron.evaluation.contract import Material
from hydratron.hashing import json_sha256
from hydratron.job import read_json
from hydratron.launch.provenance import code, hardware, versions

FORMAT = 1


def place_of(
    checkpoint: Opened, task: str, protocol: Mapping[str, Any], sha256: str, config: Config
) -> Path:
    """The folder of this evaluation beside the checkpoint; `sha256` is of what is scored.

    Its name has a hash of all that decides the metrics, so that another file, protocol or
    precision never takes its place; degrees and batch are not among it.
    """
    decides = {
        "checkpoint": checkpoint.sha256,
        "tokenizer": checkpoint.tokenizer.sha256,
        "task": task,
        "protocol": dict(protocol),
        "data": sha256,
        "precision": config.trainer.precision,
    }
    name = f"{checkpoint.path.name}-{task}-{json_sha256(decides)[:8]}"
    return checkpoint.path.parent / "evaluations" / name


def read_record(path: Path) -> dict[str, Any] | None:
    """An evaluation that is there and whole, or None."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return None
    return content if content is not None and content.get("format") == FORMAT else None


def content_of(
    checkpoint: Opened,
    task: str,
    material: Material,
    config: Config,
    batch: int,
    metrics: dict[str, float],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """All that evaluation.json holds."""
    counts = dict(material.counts)
    return {
        "format": FORMAT,
        "task": task,
        "official": bool(material.known),
        "known_as": material.known or None,
        "metrics": metrics,
        "original_tokens": counts.pop("original_tokens"),
        "tokens": counts.pop("tokens"),
        "counts": counts | {"windows": len(material.windows), "targets": material.windows.targets},
        "protocol": dict(material.protocol) | {"precision": config.trainer.precision},
        "file": material.file,
        "sha256": material.sha256,
        "notes": material.notes,
        **circumstances(checkpoint, config, batch, seconds),
    }


def circumstances(
    checkpoint: Opened, config: Config, batch: int, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """What every record says beside what was scored: the model, the machine, the code."""
    return {
        "checkpoint": {
            "name": checkpoint.path.name,
            "step": checkpoint.step,
            "manifest_sha256": checkpoint.sha256,
            "tokenizer_sha256": checkpoint.tokenizer.sha256,
            "vocab_size": checkpoint.tokenizer.vocab_size,
        },
        "parallel": config.parallel.label,
        "degrees": dict(config.parallel.axes),
        "batch": batch,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **code(),
        "versions": versions(),
        "hardware": hardware(),
    }
