"""An artifact of two models with synthetic runs, for tests that read and write its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydratron.job import flatten
from hydratron.reporting.records import Run
from hydratron.reproduce.catalog import Artifact, read_artifact

ANALYZE = '''\
"""Mean final loss."""
from hydratron.reporting.estimate import estimate
from hydratron.reporting.verdict import Claim, direction
from hydratron.reproduce.figure import Analysis, Figure, Line, Panel


def analyze(frame, criteria):
    finals = frame.groupby("seed")["val/loss"].last()
    losses = [criteria["above"] - float(value) for value in finals]
    line = Line("a", list(frame["tokens"].dropna()), list(frame["val/loss"].dropna()))
    table = frame.groupby("model", as_index=False)["val/loss"].mean()
    return Analysis(
        Figure("F", [Panel("p", "tokens", "loss", [line])]),
        table,
        [direction(Claim.of(criteria, "low"), estimate(losses))],
        ["a note"],
    )
'''
PROFILE = "about: {about}\n    stages: [{{name: a, overrides: [model=gpt_pico, 'seed=1,2,3']}}]"
PROFILES = f"""\
title: A <title>
metrics: [val/loss]
settings: [optim.lr]
profiles:
  smoke:
    judged: false
    {PROFILE.format(about="nothing")}
  small:
    {PROFILE.format(about="a little")}
  gpu:
    gpus: 1000
    {PROFILE.format(about="more")}
"""
CRITERIA = """\
above: 5.0
claims:
  low: {claim: the loss | is low, criterion: below 5, unit: nats}
"""
README = """\
# Thing
<!-- results: written by hydratron reproduce -->
old
<!-- end of results -->
after
"""
CLAIMS = """\
claims:
  - {claim: it is low, where: Figure 1, published: 9.27, artifact: fig1_thing, verdicts: [low]}
  - {claim: it is fast, where: Table 2, published: 77 %}
popular:
  - {summary: 99 %, paper: 90.9 %, where: Table 5}
"""


def write_artifact(experiments: Path) -> Artifact:
    """`experiments/fig1_thing` and experiments/claims.yaml."""
    folder = experiments / "fig1_thing"
    folder.mkdir(parents=True)
    (experiments / "claims.yaml").write_text(CLAIMS)
    files = {"analyze.py": ANALYZE, "profiles.yaml": PROFILES, "criteria.yaml": CRITERIA}
    for name, text in (files | {"README.md": README}).items():
        (folder / name).write_text(text)
    return read_artifact(folder)


def run(seed: int, losses: list[float], status: str = "completed") -> Run:
    """A run of gpt_pico that validated at steps 1, 2, ... and logged training rows besides."""
    rows: list[dict[str, Any]] = []
    for step, loss in enumerate(losses, 1):
        position = {"step": step, "tokens": 100 * step, "seconds": 1.5 * step}
        rows += [position | {"train/loss": 1.0}, position | {"val/loss": loss}]
    model = {"name": "gpt_pico", "num_layers": 2, "hidden_size": 128}
    settings = flatten({"model": model, "optim": {"lr": 1e-3}, "seed": seed})
    said = {"commit": "abc", "dirty": False, "started": f"2026-01-0{seed}", "overrides": ["x=1"]}
    result = {"status": status, "parameters": 500}
    return Run(Path(f"00{seed}_gpt_pico-s{seed}"), settings, rows, result, provenance=said)


RUNS = [run(1, [6.0, 0.1 + 0.2]), run(2, [6.0, 1 / 3]), run(3, [6.0, 0.25])]
