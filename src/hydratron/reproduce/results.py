"""The committed results of one profile: written from runs, or again from their curves.csv."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd

from hydratron.job import write_json, write_text
from hydratron.reporting.records import Run
from hydratron.reporting.verdict import Verdict
from hydratron.reproduce.catalog import (
    ANALYZE,
    CURVES,
    PROVENANCE,
    Artifact,
    Profile,
    read_artifact,
)
from hydratron.reproduce.collect import curves, provenance, read_curves
from hydratron.reproduce.draw import svg
from hydratron.reproduce.figure import Analysis

VERDICT, TABLE, PAGE = "verdict.json", "table.csv", "figure.html"
UNJUDGED = "the profile only shows that everything runs"
# The last digits of a fit are those of the linear algebra library.
DIGITS = 8
STYLE = """\
:root { color-scheme: light dark }
body { margin: 0 auto; max-width: 1080px; padding: 24px; font: 15px/1.5 system-ui, sans-serif;
  background: light-dark(#fff, #12141a); color: light-dark(#1b1d22, #e9eaee) }
figure { margin: 0 0 12px; padding: 12px; background: #fff; border-radius: 6px }
svg { width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px }
th, td { padding: 4px 12px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid light-dark(#dfe0e3, #30343f) }
.soft { color: light-dark(#5c616b, #a1a7b4) }
"""


class Source(Protocol):
    """What a profile's runs leave for its results: curves.csv and provenance.json."""

    def curves(self, artifact: Artifact) -> pd.DataFrame: ...

    def provenance(self, artifact: Artifact) -> dict[str, Any]: ...


class Trained(NamedTuple):
    """The source that jobs are."""

    runs: Sequence[Run]
    command: str

    def curves(self, artifact: Artifact) -> pd.DataFrame:
        return curves(self.runs, artifact.metrics, artifact.settings)

    def provenance(self, artifact: Artifact) -> dict[str, Any]:
        return provenance(artifact, self.runs, self.command)


def publish(artifact: Artifact, profile: Profile, source: Source | None) -> Analysis:
    """Write results/<profile>/ and return what was found.

    Without a source everything but curves.csv and provenance.json is made again from curves.csv.
    """
    folder = artifact.results(profile.name)
    if source is not None:
        frame = source.curves(artifact)
        write_text(folder / CURVES, frame.to_csv(index=False, lineterminator="\n"))
        write_json(folder / PROVENANCE, source.provenance(artifact))
    # The file and not the frame: so that it gives the same results again.
    analysis = analyse(artifact, profile, read_curves(folder / CURVES))
    verdicts = list(analysis.verdicts)
    if not profile.judged:
        verdicts = [verdict.unjudged(UNJUDGED) for verdict in verdicts]
    analysis = replace(analysis, verdicts=verdicts)
    write_json(folder / VERDICT, _rounded(_verdict(artifact, profile, analysis)))
    table = analysis.table.to_csv(index=False, float_format="%.8g", lineterminator="\n")
    write_text(folder / TABLE, table)
    drawn = {name: svg(figure) for name, figure in analysis.figures.items()}
    for name, text in drawn.items():
        write_text(folder / f"{name}.svg", text)
    write_text(folder / PAGE, page(artifact, profile, analysis, drawn))
    return analysis


def publish_again(folder: Path) -> Analysis:
    """Everything in results/<profile>/ again from its curves.csv.

    Raises HydratronError when the folder is not in an artifact's.
    """
    artifact = read_artifact(folder.resolve().parents[1])
    return publish(artifact, artifact.profile(folder.resolve().name), None)


def analyse(artifact: Artifact, profile: Profile, frame: pd.DataFrame) -> Analysis:
    """What the artifact's analyze.py makes of a profile's curves and its criteria."""
    return _load(artifact.folder / ANALYZE)(frame, artifact.criteria(profile.name))


def _load(path: Path) -> Callable[[pd.DataFrame, dict[str, Any]], Analysis]:
    """As a package, so that analyze.py may have modules beside it: `from .figures import ...`."""
    name, beside = f"hydratron_{path.parent.name}", [str(path.parent)]
    for known in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[known]  # Another folder's, in one process of the tests.
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=beside)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[pd.DataFrame, dict[str, Any]], Analysis] = module.analyze
    return found


def _verdict(artifact: Artifact, profile: Profile, analysis: Analysis) -> dict[str, Any]:
    return {
        "artifact": artifact.name,
        "profile": profile.name,
        "scale": profile.about,
        "figures": {f"{name}.svg": one.title for name, one in analysis.figures.items()},
        "verdicts": [verdict.as_json() for verdict in analysis.verdicts],
        "notes": list(analysis.notes),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(content) for key, content in value.items()}
    return [_rounded(content) for content in value] if isinstance(value, list) else value


def page(artifact: Artifact, profile: Profile, analysis: Analysis, drawn: Mapping[str, str]) -> str:
    """Figures, verdicts and table as one HTML page without a script and without a network.

    `drawn`: each figure as SVG.
    """
    figures = "".join(
        f'<figure role="img" aria-label="{escape(analysis.figures[name].title)}">{text}</figure>'
        for name, text in drawn.items()
    )
    verdicts = [
        [str(v.status), v.claim.claim, v.aspect, v.claim.criterion, effect(v), "; ".join(v.details)]
        for v in analysis.verdicts
    ]
    head = ["verdict", "claim", "aspect", "criterion", "effect", "details"]
    cells = [[_cell(value) for value in row] for row in analysis.table.itertuples(index=False)]
    notes = "".join(f"<p>{escape(note)}</p>" for note in analysis.notes)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{escape(artifact.title)}</title>\n<style>\n{STYLE}</style>\n"
        f"<h1>{escape(artifact.title)}</h1>\n"
        f'<p class="soft">profile {escape(profile.name)}: {escape(profile.about)}</p>\n'
        f"{figures}{notes}"
        f"<h2>Verdicts</h2>\n{_table(head, verdicts)}"
        f"<h2>Table</h2>\n{_table(list(map(str, analysis.table.columns)), cells)}</html>\n"
    )


def effect(verdict: Verdict) -> str:
    """`0.29 nats [0.25, 0.33], n 3`, or a dash."""
    if verdict.effect is None:
        return f"–, n {verdict.n}"
    return effect_text(verdict.effect, verdict.claim.unit, verdict.interval, verdict.n)


def effect_text(value: float, unit: str, interval: Sequence[float] | None, n: int) -> str:
    """The same of its parts, as verdict.json has them."""
    text = f"{value:.3g} {unit}".strip()
    if interval is not None:
        text += " [{:.3g}, {:.3g}]".format(*interval)
    return f"{text}, n {n}"


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>\n" for row in rows
    )
    return f"<table>\n<tr>{titles}</tr>\n{body}</table>\n"
