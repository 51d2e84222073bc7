"""Pairings: who is measured beside whom, on what work, and what came out (`verb: measure`).

A contender is `ours`, the job as `hydratron train` runs it, or a name that `contend.py` of the
artifact knows; `-tp2`, `-dp2` and `-tp2_pp2` give it as many ranks.  All get our job's tokens, and
an allocator as they come or tuned as our ranks are.  What a contender has counted of its steps,
by the time of its second row, it leaves in counted.json, a list of rows for curves.csv.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydratron.config.load import dump
from hydratron.config.plan import plan
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, HydratronError, Problem
from hydratron.job import read_json, write_json
from hydratron.launch.environment import ALLOCATOR
from hydratron.launch.provenance import code, machine
from hydratron.launch.supervision import sigterm_raises
from hydratron.reproduce.catalog import ALLOCATORS
from hydratron.reproduce.made_up import made_up_tokens
from hydratron.reproduce.turns import Contender, python

RECORD, CONTEND, OURS, COUNTED = "measured.json", "contend.py", "ours", "counted.json"
TUNED = "tuned"
DEGREE = r"(?:tp|dp|pp)\d+"
NAME = re.compile(rf"(?P<name>[a-z0-9_]+)(-(?P<degree>{DEGREE}(?:_{DEGREE})*))?")
# What a job says to itself that is no part of a step, and so many steps that it never ends first.
QUIET = (
    "logger=none", "trainer.max_steps=10000", "trainer.val_every_n_steps=10000",
    "trainer.val_samples=1", "checkpoint.at_end=false", "trainer.peak_flops=1e12",
)  # fmt: skip
WARM_STEPS = 2


@dataclass(frozen=True)
class Pairing:
    """`contenders` take turns of `steps` steps, `rounds` times or not at all; the first is what
    others are compared with.  `overrides` are those of our job; `script` is contend.py."""

    folder: Path
    script: Path
    contenders: tuple[str, ...]
    overrides: tuple[str, ...]
    allocator: str
    steps: int
    rounds: int

    @property
    def asked(self) -> dict[str, Any]:
        """What makes another measurement of it."""
        told = asdict(self)
        return {name: told[name] for name in told if name not in ("folder", "script")} | {
            "contenders": list(self.contenders), "overrides": list(self.overrides)
        }  # fmt: skip

    @property
    def record(self) -> dict[str, Any] | None:
        """What was measured; None where that is another pairing's or nothing."""
        found = read_json(self.folder / RECORD)
        return found if found is not None and found.get("asked") == self.asked else None


def pairings(
    folder: Path,
    script: Path,
    groups: Sequence[str],
    sweeps: Sequence[tuple[str, ...]],
    steps: int,
    rounds: int,
    allocators: Sequence[str] = ALLOCATORS,
) -> list[Pairing]:
    """Every group of contenders on every entry of `sweeps`, with each of the allocators.

    Raises ConfigError for what no job can be or for a contender's name that cannot be read.
    """
    found = []
    for number, overrides in enumerate(sweeps):
        plan([*overrides, *QUIET], multirun=False)
        for group in groups:
            names = tuple(group.split())
            for name in names:
                if NAME.fullmatch(name) is None:
                    expected = "names such as ours, nano or dtensor-tp2, with spaces between them"
                    raise ConfigError([Problem("contenders", name, expected)])
                if _parts(name)[0] == OURS:
                    plan(_words(overrides, name), multirun=False)
            for allocator in allocators:
                place = folder / f"{number}_{'+'.join(names)}_{allocator}"
                told = (place, script, names, overrides, allocator, steps, rounds)
                found.append(Pairing(*told))
    return found


def measure(pairing: Pairing) -> None:
    """Run it and leave its record.  Raises HydratronError for a contender that ends early.

    Contenders whose package is not installed are recorded as absent.
    """
    folder = pairing.folder
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    config = plan([*pairing.overrides, *QUIET], multirun=False).jobs[0].config
    config = replace(config, data=replace(config.data, prepared=str(made_up_tokens(config))))
    dump(config, folder / "config.yaml")
    installed = {**_installed(pairing.script), OURS: machine()["versions"]["hydratron"]}
    unknown = [name for name in pairing.contenders if _parts(name)[0] not in installed]
    if unknown:
        raise HydratronError(f"contenders: {' '.join(unknown)}: {CONTEND} knows no such name")
    present = [name for name in pairing.contenders if installed[_parts(name)[0]] is not None]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with sigterm_raises(), ExitStack() as ending:
        running = {}
        for name in present:
            running[name] = _start(pairing, config, name)
            ending.callback(running[name].end)
            running[name].warm_up(WARM_STEPS)
        ms: dict[str, list[float]] = {name: [] for name in present}
        for number in range(pairing.rounds):
            for name in present if number % 2 == 0 else reversed(present):
                ms[name].append(round(running[name].turn(pairing.steps).ms, 4))
    found = [
        {
            "name": name,
            "version": installed[_parts(name)[0]],
            "status": "measured" if name in present else "absent",
            **(_seen(running[name]) | {"ms": ms[name]} if name in present else {}),
            **_counted(folder / name),
        }
        for name in pairing.contenders
    ]
    told = {
        "model": config.model.name, "layers": config.model.num_layers,
        "precision": config.trainer.precision, "threads": config.launch.threads_per_rank,
        "vocabulary": config.model.padded(config.tokenizer.vocab_size),
    }  # fmt: skip
    write_json(
        folder / RECORD,
        {"asked": pairing.asked, "started": started, **told, **code(), **machine(),
         "load": round(os.getloadavg()[0], 2), "contenders": found},
    )  # fmt: skip


def _seen(contender: Contender) -> dict[str, Any]:
    """From its first row, before any update, and from its last."""
    first, last = contender.rows[0], contender.rows[-1]
    return {
        "first_loss": first["train/loss"],
        "grad_norm": first["grad_norm"],
        "memory_bytes": last["perf/memory_bytes"],
    }


def _counted(place: Path) -> dict[str, Any]:
    file = place / COUNTED
    return {"counted": json.loads(file.read_text(encoding="utf-8"))} if file.exists() else {}


def _parts(name: str) -> tuple[str, str, int]:
    """`dtensor-tp2` -> dtensor, tp2, 2; without a degree `single`, 1."""
    found = NAME.fullmatch(name)
    assert found is not None
    degree = found["degree"] or "single"
    return found["name"], degree, math.prod(map(int, re.findall(r"\d+", degree)))


def _words(overrides: Sequence[str], name: str) -> list[str]:
    """Our job of that degree; every replica scores a sample of the only validation."""
    _, degree, ranks = _parts(name)
    return [*overrides, *QUIET, f"parallel={degree}", f"trainer.val_samples={ranks}"]


def _start(pairing: Pairing, config: Config, name: str) -> Contender:
    kind, _, ranks = _parts(name)
    place = pairing.folder / name
    if kind == OURS:
        words = _words(pairing.overrides, name)
        words += [f"data.prepared={config.data.prepared}", f"hydra.run.dir={place}/job"]
        commands = [python("-m", "hydratron", "train", *words)]
        file = place / "job" / "metrics.jsonl"
    else:
        told = [str(pairing.script), kind, str(pairing.folder / "config.yaml"), str(place)]
        commands = [python(*told, str(rank), str(ranks)) for rank in range(ranks)]
        file = place / "metrics.jsonl"
    return Contender(name, commands, _environment(pairing.allocator), place, file)


def _environment(allocator: str) -> dict[str, str]:
    """Without an allocator's settings of this shell: who has some is what is compared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    return kept | (ALLOCATOR if allocator == TUNED else {})


def _installed(script: Path) -> Mapping[str, Any]:
    """The version of every contender that contend.py knows; None for one that is not there."""
    done = subprocess.run(
        python(str(script), "versions"), capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise HydratronError(f"{script}: {said[-1]}")
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found
