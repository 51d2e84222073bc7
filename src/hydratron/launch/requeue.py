"""SIGUSR1 of Slurm, shortly before a job's time is over: what was saved is queued again."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

SECONDS = 60.0


def requeue(environment: Mapping[str, str]) -> str:
    """Ask Slurm to queue this job again, from its first process alone; returns what to say."""
    job = environment.get("SLURM_JOB_ID")
    if job is None:
        return "SIGUSR1: saved; not requeued, since SLURM_JOB_ID names no job of Slurm"
    if environment.get("SLURM_PROCID", "0") != "0":
        return f"SIGUSR1: saved; the first process requeues job {job}"
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"SIGUSR1: saved; job {job} is not requeued: {error}"
    if done.returncode:
        said = " ".join(done.stderr.split())
        return f"SIGUSR1: saved; job {job} is not requeued: scontrol: {said}"
    return f"SIGUSR1: saved; job {job} is requeued"
