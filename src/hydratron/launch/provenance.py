"""Where a result comes from: code, versions, hardware, data and seed, but no names of people."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hydratron
from hydratron.config.schema import Config
from hydratron.data.corpus import SELECTION
from hydratron.data.manifest import MANIFEST
from hydratron.hashing import file_sha256

PACKAGES = ("hydratron", "torch", "lightning", "hydra-core", "tokenizers", "numpy")
SECONDS = 10.0


def provenance(
    config: Config, folder: Path, overrides: Sequence[str], start: Path | None
) -> dict[str, Any]:
    """What provenance.json holds for a job in `folder` that goes on from checkpoint `start`.

    `parent` is the checkpoint of another job, relative to `folder`; null for a fresh start.
    """
    parent = start is not None and start.parent.parent.resolve() != folder.resolve()
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "overrides": list(overrides),
        "seed": config.seed,
        "parent": os.path.relpath(start, folder) if start and parent else None,
        "data_sha256": data_hash(config),
        **code(),
        **machine(),
    }


def machine() -> dict[str, Any]:
    """Of provenance.json what depends on where the job runs."""
    return {
        "versions": versions(),
        "hardware": hardware(),
        "platform": platform.platform(),
    }


@cache
def code() -> dict[str, Any]:
    """Commit and dirty flag of the checkout this package lies in; null when it is installed."""
    root = Path(hydratron.__file__).resolve().parents[2]
    unknown = {"commit": None, "dirty": None}
    if not (root / ".git").exists():
        return unknown
    commit = _output("git", "-C", str(root), "rev-parse", "--verify", "HEAD")
    changes = _output("git", "-C", str(root), "status", "--porcelain")
    if commit is None or changes is None:
        return unknown
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def versions() -> dict[str, str | None]:
    """Versions of the packages that decide a result, read without importing them."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


@cache
def hardware() -> dict[str, Any]:
    """CPU model, cores this process may use, memory in bytes, GPU names."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_model(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpus(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def data_hash(config: Config) -> str | None:
    """Of the file that says which tokens a job has; null when the folder is not there."""
    prepared = config.data.prepared
    files = [Path(prepared or "") / name for name in (MANIFEST, SELECTION)]
    return next((file_sha256(file) for file in files if prepared and file.is_file()), None)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _gpus() -> list[str]:
    """nvidia-smi instead of torch: the launcher does not import torch."""
    if shutil.which("nvidia-smi") is None:
        return []
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return [line.strip() for line in (names or "").splitlines() if line.strip()]


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
