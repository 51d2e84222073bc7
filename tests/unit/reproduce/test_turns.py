"""Programs that take turns, and pairings of them, with peers that do nothing but write rows."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydratron.errors import ConfigError, HydratronError
from hydratron.reproduce.catalog import read_artifact
from hydratron.reproduce.measured import Measured
from hydratron.reproduce.pairings import RECORD, Pairing, measure, pairings
from hydratron.reproduce.stages import plan_stages, run_stages, unfinished
from hydratron.reproduce.turns import Contender

# Rows every few milliseconds, the first before any; `bad` ends with a line on stderr.
PEER = """\
import json, os, sys, time
def rows(name, file):
    began = time.monotonic()
    for step in range(1, 10**6):
        time.sleep({"quick": 0.005, "slow": 0.02}[name])
        row = {"step": step, "seconds": time.monotonic() - began, "train/loss": 6.2}
        file.write(json.dumps(row | {"grad_norm": 1.0, "perf/memory_bytes": 2**20}) + "\\n")
        file.flush()
if sys.argv[1] == "versions":
    print(json.dumps({"quick": "1.0", "slow": "2.0", "gone": None, "bad": "3"}))
elif sys.argv[1] == "bad":
    sys.exit("no such shape")
else:
    rows(sys.argv[1], open(os.path.join(sys.argv[3], "metrics.jsonl"), "w"))
"""
JOB = ("model=gpt_pico", "tokenizer.vocab_size=512", "launch.threads_per_rank=1")


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "experiments" / "race" / "contend.py"
    path.parent.mkdir(parents=True)
    path.write_text(PEER)
    return path


@pytest.fixture
def slow(script: Path, tmp_path: Path) -> Iterator[Contender]:
    command = [sys.executable, str(script), "slow", "-", str(tmp_path)]
    found = Contender("slow", [command], os.environ, tmp_path, tmp_path / "metrics.jsonl")
    yield found
    found.end()


def of(script: Path, group: str, **turns: int) -> list[Pairing]:
    given = {"steps": 3, "rounds": 2} | turns
    return pairings(Path("out"), script, [group], [JOB], given["steps"], given["rounds"])


def test_who_waits_stands_still_and_only_whole_steps_of_a_turn_count(slow: Contender) -> None:
    slow.warm_up(2)
    time.sleep(0.05)
    size = slow.file.stat().st_size
    time.sleep(0.3)
    assert slow.file.stat().st_size == size
    turn = slow.turn(4)
    # The step that the stop cut took 0.35 s at least.
    assert turn.steps >= 4
    assert 20 <= turn.ms < 80


def test_who_ends_early_is_named_with_its_last_line(script: Path, tmp_path: Path) -> None:
    (pairing, _) = of(script, "quick bad")
    with pytest.raises(HydratronError, match=r"^bad ended: no such shape$"):
        measure(pairing)
    assert not (pairing.folder / RECORD).exists()


def test_a_pairing_leaves_turns_of_all_who_are_there(script: Path) -> None:
    default, tuned = of(script, "quick slow gone")
    assert (default.allocator, tuned.allocator) == ("default", "tuned")
    measure(tuned)
    record = tuned.record
    assert record is not None
    quick, slow, gone = record["contenders"]
    assert [c["status"] for c in record["contenders"]] == ["measured", "measured", "absent"]
    assert (quick["version"], gone["version"]) == ("1.0", None)
    assert all(4 < a < b for a, b in zip(quick["ms"], slow["ms"], strict=True))
    # Another number of turns is another measurement.
    assert of(script, "quick slow gone", rounds=3)[1].record is None
    frame = Measured([tuned], "x").curves(read_artifact(_artifact(script)))
    assert frame.groupby("contender", sort=False)["ms"].count().to_dict() == {
        "quick": 2, "slow": 2, "gone": 0,
    }  # fmt: skip


def test_a_profile_goes_on_with_the_pairing_that_is_left(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = read_artifact(_artifact(script))
    asked: list[str] = []

    def fake(pairing: Pairing) -> None:
        asked.append(pairing.allocator)
        pairing.folder.mkdir(parents=True, exist_ok=True)
        if asked != ["default"]:
            raise HydratronError("cut")
        (pairing.folder / RECORD).write_text(json.dumps({"asked": pairing.asked}))

    monkeypatch.setattr("hydratron.reproduce.stages.measure", fake)
    planned = plan_stages(artifact, artifact.profile("smoke"))
    with pytest.raises(HydratronError, match="cut"):
        run_stages(planned, {}, bool)
    (left,) = unfinished(planned)
    assert left.endswith("0_quick+slow_tuned not measured")
    with pytest.raises(HydratronError, match="cut"):
        run_stages(planned, {}, bool)
    assert asked == ["default", "tuned", "tuned"]


def test_a_contender_is_a_name_with_a_degree(script: Path) -> None:
    with pytest.raises(ConfigError, match="contenders=ours-2: names such as"):
        of(script, "ours-2")
    with pytest.raises(HydratronError, match=r"contenders: what: contend.py knows no such name"):
        measure(of(script, "what")[0])


def test_our_jobs_are_planned_at_their_degree_before_anybody_starts(script: Path) -> None:
    assert len(of(script, "quick ours-dp2 ours-tp2_dp4 ours")) == 2
    with pytest.raises(ConfigError, match="tensor_model_parallel_size"):
        of(script, "quick ours-tp3")


def _artifact(script: Path) -> Path:
    stage = {"name": "a", "verb": "measure", "contenders": ["quick slow"], "overrides": list(JOB)}
    profile = {"about": "x", "stages": [stage | {"steps": 3, "rounds": 2}]}
    content = {"title": "T", "metrics": ["ms"], "profiles": {"smoke": profile}}
    (script.parent / "profiles.yaml").write_text(json.dumps(content))
    return script.parent
