"""experiments/README.md: the paper's claims one by one, with the verdicts that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from hydratron.job import read_json, write_text
from hydratron.reporting.verdict import Status
from hydratron.reproduce.catalog import Artifact
from hydratron.reproduce.results import VERDICT, effect_text

CLAIMS, README = "claims.yaml", "README.md"
# The largest scale that was run speaks for a claim.
ORDER = ("paper", "gpu", "long", "small", "cpu")
BEGIN, END = "<!-- results: written by hydratron reproduce -->", "<!-- end of results -->"
HEADER = """\
# The paper's claims, one by one

Written by `hydratron reproduce` from `claims.yaml` and the verdicts in `*/results/`; do not edit.

- A scaled-down run judges the direction of a claim at the scale that its row names. It says nothing
  about the published number, nor about models of the published size.
- A difference is REPRODUCED only where its 95 % interval over three seeds or more (in `splits`,
  over steps or rounds of one run), in brackets, lies above 0, or above the limit that the criterion
  names; NOT REPRODUCED where it lies below.
- PREDICTED: a model of the machine, fitted to the other published numbers, comes close to this
  one. Nothing was run for it.

Figures, tables, curves and provenance lie in each artifact's `results/<profile>/`.

| claim | where | published | ours | at what scale | verdict |
|---|---|---|---|---|---|
"""
POPULAR = """
## Where a popular summary differs from the paper

| summary | paper | where |
|---|---|---|
"""


def write_pages(folder: Path, artifacts: Sequence[Artifact]) -> None:
    """experiments/README.md, and the results in each artifact's own README.md."""
    write_text(folder / README, claims_page(folder, artifacts))
    for artifact in artifacts:
        own = artifact.folder / README
        text = own.read_text(encoding="utf-8") if own.is_file() else ""
        if BEGIN in text and END in text:
            before, _, rest = text.partition(BEGIN)
            after = rest.partition(END)[2]
            write_text(own, f"{before}{BEGIN}\n{results_block(artifact)}{END}{after}")


def claims_page(folder: Path, artifacts: Sequence[Artifact]) -> str:
    """The whole page as Markdown."""
    content = yaml.safe_load((folder / CLAIMS).read_text(encoding="utf-8"))
    found = {artifact.name: judged(artifact) for artifact in artifacts}
    text = HEADER
    for entry in content["claims"]:
        artifact = entry.get("artifact")
        results = found.get(artifact) or {}
        name = f"[{entry['claim']}]({artifact}/)" if artifact else entry["claim"]
        verdicts = _chosen(results, entry.get("verdicts", []))
        cells = [
            name,
            entry["where"],
            entry["published"],
            _parts(verdicts, lambda v: v.get("ours") or _effect(v)) or "–",
            f"`{results['profile']}`: {results['scale']}" if verdicts else "–",
            _parts(verdicts, lambda v: f"**{v['status']}**") or str(Status.NOT_RUN),
        ]
        text += _row(cells)
    text += POPULAR
    for entry in content["popular"]:
        text += _row([entry["summary"], entry["paper"], entry["where"]])
    return text


def judged(artifact: Artifact) -> dict[str, Any] | None:
    """verdict.json of the largest profile that was run and is judged; None without one."""
    for name in ORDER:
        profile = artifact.profiles.get(name)
        found = read_json(artifact.results(name) / VERDICT)
        if found is not None and profile is not None and profile.judged:
            return found
    return None


def results_block(artifact: Artifact) -> str:
    """The figure and the verdicts of the largest judged profile, as Markdown."""
    found = judged(artifact)
    if found is None:
        return "Not run yet.\n"
    profile = found["profile"]
    text = f"Profile `{profile}`: {found['scale']}\n\n"
    for file, title in found["figures"].items():
        text += f"![{title}](results/{profile}/{file})\n\n"
    text += "| claim | aspect | criterion | effect | verdict |\n|---|---|---|---|---|\n"
    for verdict in found["verdicts"]:
        cells = [verdict["claim"], verdict["aspect"], verdict["criterion"], _effect(verdict)]
        text += _row([*cells, f"**{verdict['status']}**"])
    details = [f"- {v['name']}: {detail}\n" for v in found["verdicts"] for detail in v["details"]]
    notes = [f"- {note}\n" for note in found["notes"]]
    return text + ("\n" + "".join(details + notes) if details or notes else "")


def _chosen(results: dict[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    return [verdict for verdict in results.get("verdicts", []) if verdict["name"] in names]


def _parts(verdicts: Sequence[dict[str, Any]], say: Callable[[dict[str, Any]], str]) -> str:
    """What is said of each, after its name where there are several."""
    if len(verdicts) == 1:
        return say(verdicts[0])
    return "<br>".join(f"{verdict['name']}: {say(verdict)}" for verdict in verdicts)


def _effect(verdict: dict[str, Any]) -> str:
    if verdict["effect"] is None:
        return "–"
    return effect_text(*(verdict[key] for key in ("effect", "unit", "interval", "n")))


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"
