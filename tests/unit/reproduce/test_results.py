from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hydratron.config.folders import conf_dir
from hydratron.reproduce.catalog import Artifact, artifacts
from hydratron.reproduce.claims import README, claims_page, write_pages
from hydratron.reproduce.results import Trained, publish
from tests.unit.reproduce.small_artifact import RUNS, run, write_artifact

CHECKOUT = conf_dir().parent / "experiments"
SOURCE = Trained(RUNS, "hydratron reproduce fig1_thing --profile small")
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
MADE = {"curves.csv", "provenance.json", "verdict.json", "table.csv", "figure.svg", "figure.html"}


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return write_artifact(tmp_path / "experiments")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_everything_is_written_and_made_again_from_the_curves(artifact: Artifact) -> None:
    publish(artifact, artifact.profile("small"), SOURCE)
    first = content(artifact.results("small"))
    assert first.keys() == MADE
    for name in MADE - {"curves.csv", "provenance.json"}:
        (artifact.results("small") / name).unlink()
    publish(artifact, artifact.profile("small"), None)
    assert content(artifact.results("small")) == first


def test_the_verdict_as_json(artifact: Artifact) -> None:
    publish(artifact, artifact.profile("small"), SOURCE)
    found = json.loads((artifact.results("small") / "verdict.json").read_text())
    assert (found["artifact"], found["profile"], found["scale"]) == (
        *("fig1_thing", "small", "a little"),
    )
    (verdict,) = found["verdicts"]
    assert (verdict["name"], verdict["status"], verdict["n"]) == ("low", "REPRODUCED", 3)
    # Mean of 4.7, 4 2/3 and 4.75, to eight digits.
    assert verdict["effect"] == 4.7055556
    assert found["notes"] == ["a note"]


SMOKE = "SMOKE: nothing judged"


def test_a_profile_that_is_not_judged_is_stamped(artifact: Artifact) -> None:
    analysis = publish(artifact, artifact.profile("smoke"), SOURCE)
    assert [str(verdict.status) for verdict in analysis.verdicts] == [SMOKE]
    found = json.loads((artifact.results("smoke") / "verdict.json").read_text())
    assert found["verdicts"][0]["status"] == SMOKE
    write_pages(artifact.folder.parent, [artifact])
    assert "| **REPRODUCED" not in (artifact.folder.parent / README).read_text()


def test_the_page_is_static_and_inert(artifact: Artifact) -> None:
    publish(artifact, artifact.profile("small"), SOURCE)
    page = (artifact.results("small") / "figure.html").read_text()
    assert "A &lt;title&gt;" in page
    assert "<script" not in page
    assert set(re.findall(r"https?://[^\"' ]*", page)) == NAMESPACES
    assert "REPRODUCED" in page


def test_the_claims_one_by_one(artifact: Artifact) -> None:
    experiments = artifact.folder.parent
    assert claims_page(experiments, [artifact]).count("NOT RUN |") == 2
    publish(artifact, artifact.profile("small"), SOURCE)
    rows = claims_page(experiments, [artifact]).splitlines()
    assert (
        "| [it is low](fig1_thing/) | Figure 1 | 9.27 | 4.71 nats [4.6, 4.81], n 3 "
        f"| `small`: {artifact.profile('small').about} | **REPRODUCED** |"
    ) in rows
    assert "| it is fast | Table 2 | 77 % | – | – | NOT RUN |" in rows
    assert "| 99 % | 90.9 % | Table 5 |" in rows


def test_the_largest_scale_speaks(artifact: Artifact) -> None:
    high = [run(seed, [9.0 + seed / 10]) for seed in (1, 2, 3)]
    publish(artifact, artifact.profile("small"), SOURCE)
    publish(artifact, artifact.profile("gpu"), Trained(high, "x"))
    page = claims_page(artifact.folder.parent, [artifact])
    assert f"| `gpu`: {artifact.profile('gpu').about} | **NOT REPRODUCED** |" in page


def test_a_claim_of_several_aspects_is_one_row(artifact: Artifact) -> None:
    publish(artifact, artifact.profile("small"), SOURCE)
    file = artifact.results("small") / "verdict.json"
    found = json.loads(file.read_text())
    (first,) = found["verdicts"]
    found["verdicts"].append(first | {"name": "high", "status": "PREDICTED", "ours": "75 %"})
    file.write_text(json.dumps(found))
    claims = artifact.folder.parent / "claims.yaml"
    claims.write_text(claims.read_text().replace(f"[{first['name']}]", f"[{first['name']}, high]"))
    page = claims_page(artifact.folder.parent, [artifact])
    name = first["name"]
    assert f"| {name}: 4.71 nats [4.6, 4.81], n 3<br>high: 75 % |" in page
    assert f"| {name}: **REPRODUCED**<br>high: **PREDICTED** |" in page


def test_the_artifacts_own_page_gets_its_results(artifact: Artifact) -> None:
    write_pages(artifact.folder.parent, [artifact])
    own = artifact.folder / README
    assert "\nNot run yet.\n" in own.read_text()
    publish(artifact, artifact.profile("small"), SOURCE)
    write_pages(artifact.folder.parent, [artifact])
    text = own.read_text()
    assert text.startswith("# Thing\n<!-- results")
    assert text.endswith("<!-- end of results -->\nafter\n")
    assert "old" not in text
    assert "![F](results/small/figure.svg)" in text
    assert "| the loss \\| is low | direction | below 5 | 4.71 nats [4.6, 4.81], n 3 |" in text
    write_pages(artifact.folder.parent, [artifact])
    assert own.read_text() == text


def test_the_committed_page_is_the_generated_one() -> None:
    page = (CHECKOUT / README).read_text()
    assert page == claims_page(CHECKOUT, artifacts(CHECKOUT))
    for text in ("15.5 PFLOP/s", "90.9 % by an ensemble", "89.5 %", "print 76 %"):
        assert text in page


@pytest.mark.parametrize(
    "results",
    sorted(
        path.parent
        for path in CHECKOUT.glob("*/results/*/curves.csv")
        if path.parent.name != "smoke"  # never committed
    ),
    ids=lambda path: f"{path.parents[1].name}-{path.name}",
)
def test_committed_results_follow_from_their_curves(results: Path, tmp_path: Path) -> None:
    known = {artifact.name: artifact for artifact in artifacts(CHECKOUT)}
    original = known[results.parents[1].name]
    # Of the others what they run is needed: one's models are scored by another.
    plans = [path for one in known.values() for path in one.folder.glob("*.*")]
    for path in (*plans, *results.iterdir()):
        target = tmp_path / path.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (artifact,) = (one for one in artifacts(tmp_path) if one.name == original.name)
    publish(artifact, artifact.profile(results.name), None)
    assert content(artifact.results(results.name)) == content(results)
