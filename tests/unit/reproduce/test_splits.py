"""experiments/splits: planted spans give their waits, planted counts their verdicts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hydratron.config.folders import conf_dir
from hydratron.config.plan import plan
from hydratron.errors import ConfigError
from hydratron.job import write_json
from hydratron.reproduce.catalog import artifacts
from hydratron.reproduce.draw import svg
from hydratron.reproduce.measured import COLUMNS, COUNTS, Measured
from hydratron.reproduce.pairings import Pairing, _parts, pairings
from hydratron.reproduce.results import analyse

SPLITS = {a.name: a for a in artifacts(conf_dir().parent / "experiments")}["splits"]


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the artifact as its programs do, and forgets it again."""
    monkeypatch.syspath_prepend(str(SPLITS.folder))
    known = set(sys.modules)
    yield __import__
    for name in {"spans", "ways", "lines"} & (set(sys.modules) - known):
        del sys.modules[name]


def test_a_wait_ends_when_the_last_one_has_come(beside: Any) -> None:
    spans = beside("spans")
    both, to_next = (0, 1), (0, 1)
    first = [
        # It comes to the sum a second before the other, and its message is taken at once.
        spans.Span("all_reduce", "tensor", both, 1.0, 1.0, 2.5, 8),
        spans.Span("send", "pipeline", to_next, 3.0, 5.0, 5.25, 8),
    ]
    second = [
        spans.Span("all_reduce", "tensor", both, 2.0, 2.0, 2.5, 8),
        # Blocked before there is anything to receive.
        spans.Span("recv", "pipeline", to_next, 2.5, 2.5, 3.25, 0),
    ]
    found = spans.parts([first, second], [0.0, 0.0])
    waits = [spans.total(one, spans.WAITING) for one in found]
    transfers = [spans.total(one, spans.SENDING) for one in found]
    assert waits == [pytest.approx(1.0), pytest.approx(0.5)]
    assert transfers == [pytest.approx(0.5 + 0.25), pytest.approx(0.5 + 0.25)]


def test_a_message_is_paired_with_its_own(beside: Any) -> None:
    """Messages back are no answer to those forward, and the second waits for the second."""
    spans = beside("spans")
    sent = [spans.Span("send", "pipeline", (0, 1), at, at, at, 8) for at in (1.0, 4.0)]
    back = [spans.Span("recv", "pipeline", (1, 0), 6.0, 6.0, 7.0, 0)]
    got = [spans.Span("recv", "pipeline", (0, 1), at, at, at + 2.5, 0) for at in (0.5, 3.0)]
    answer = [spans.Span("send", "pipeline", (1, 0), 6.5, 6.5, 6.5, 8)]
    found = spans.parts([sent + back, got + answer], [0.0, 0.0])
    waits = [spans.total(one, spans.WAITING) for one in found]
    assert waits == [pytest.approx(0.5), pytest.approx(0.5 + 1.0)]


def test_lines_are_those_of_code_alone(beside: Any) -> None:
    lines = beside("lines")
    text = (
        '"""What it is."""\n\n# Why.\nx = 1\n\n\nclass A:\n    """Doc\n    string."""\n\n'
        "    def f(self):  # a remark\n        return (\n            1\n        )\n"
    )
    assert lines.code_lines(text) == 1 + 1 + 4
    assert lines.code_lines(text, ["A.f"]) == 4
    with pytest.raises(ValueError, match=r"A\.g: no such function"):
        lines.code_lines(text, ["A.g"])
    assert all(count > 0 for count in lines.counted().values())


def test_a_name_says_how_the_job_is_split(beside: Any) -> None:
    ways = beside("ways")
    config = plan(["model=gpt_pico", "trainer.global_batch_size=16"], multirun=False).jobs[0].config
    name, degree, ranks = _parts("gpipe_4-dp2_pp2")
    found = ways.configured(config, name, degree)
    assert (ranks, found.parallel.world_size, found.parallel.label) == (4, 4, "dp2_pp2")
    assert (found.parallel.pipeline_schedule, found.parallel.transport) == ("gpipe", "gloo")
    assert (found.accumulation, found.micro_batch_size) == (4, 2)
    assert _parts("plain_2")[1:] == ("single", 1)


def rows(contender: str, ms: float, **counts: float) -> list[dict[str, Any]]:
    who = {
        "pairing": "0", "stage": "two", "model": "S", "precision": "fp32", "threads": 1,
        "allocator": "default", "vocabulary": 64, "contender": contender, "status": "measured",
        "first_loss": 4.0, "grad_norm": 2.0, "memory_bytes": 2**30,
    }  # fmt: skip
    found = [who | {"round": n, "ms": ms + n / 100} for n in range(1, 4)]
    idle = counts.pop("idle", 0.0)
    ranks = 2 if "-" in contender else 1
    for rank in range(ranks):
        for step in range(1, 5):
            about = {"rank": rank, "step": step, "quantity": "waiting"}
            found.append(who | about | {"value": idle + step / 1000})
        for kind, begin, end in (("step", 0.0, 8.0), ("waiting", 1.0, 3.0), ("sending", 3.0, 4.0)):
            about = {"rank": rank, "quantity": f"span {kind}", "value": begin, "end": end}
            found.append(who | about)
        for name in ("resident bytes", "peak bytes"):
            found.append(who | {"rank": rank, "quantity": name, "value": 2.0**30})
    told = {"rank": 0} if ranks > 1 else {}
    return found + [
        who | told | {"quantity": name, "value": value} for name, value in counts.items()
    ]


def planted(**change: float) -> list[dict[str, Any]]:
    """A pipeline that idles as the formula says, and tp2 that sends what it should."""
    sent = {
        "bytes tensor all_reduce": 100.0, "calls tensor all_reduce": 40.0, "planned bytes": 100.0,
        "flowing calls": 36.0, "expected calls": 36.0,
    }  # fmt: skip
    given = sent | {name: value for name, value in change.items() if " " in name}
    found = rows("plain_2", 10.0, **{"lines f and g": change.get("lines", 34.0)})
    found += rows("plain_2-tp2", 6.0, idle=0.05, **given)
    found += rows("dtensor_2-tp2", 9.0, idle=0.05)
    for count, share in ((2, 0.33), (4, 0.2), (8, 0.11), (16, 0.06)):
        idle = change.get("idle", share) if count == 2 else share
        found += rows(f"gpipe_{count}-pp2", 7.0, idle=idle)
    return found


def analysis(found: list[dict[str, Any]]) -> Any:
    frame = pd.DataFrame(found, columns=[*COLUMNS, *COUNTS])
    return analyse(SPLITS, SPLITS.profile("small"), frame)


def test_planted_measurements_give_their_verdicts() -> None:
    found = analysis(planted())
    statuses = {one.claim.name: str(one.status) for one in found.verdicts}
    assert set(statuses.values()) == {"REPRODUCED"}
    table = found.table.set_index(found.table["way"] + " " + found.table["degree"])
    assert table.loc["plain tp2", "times as fast as one process"] == pytest.approx(10.02 / 6.02)
    assert table.loc["plain tp2", "bytes given"] == 100
    drawn = svg(found.figures["figure_time"])
    assert "tp2 by DTensor" in drawn
    assert "waiting" in drawn
    svg(found.figure)


@pytest.mark.parametrize(
    ("change", "claims"),
    [
        ({"idle": 0.0}, {"idle", "fewer", "bubble"}),
        ({"flowing calls": 37.0}, {"primitives"}),
        ({"planned bytes": 101.0}, {"counted"}),
        ({"lines": 101.0}, {"few"}),
        ({"calls tensor all_gather": 2.0}, {"primitives"}),
    ],
)
def test_what_is_off_is_not_reproduced(change: dict[str, float], claims: set[str]) -> None:
    found = {v.claim.name for v in analysis(planted(**change)).verdicts if v.status != "REPRODUCED"}
    assert found == claims


def test_another_model_is_seen() -> None:
    found = planted()
    for row in found:
        if row["contender"] == "gpipe_8-pp2":
            row["grad_norm"] = 2.001
    (same,) = (one for one in analysis(found).verdicts if one.claim.name == "same_model")
    assert str(same.status) == "NOT REPRODUCED"


def test_counts_are_rows_behind_the_turns(tmp_path: Path) -> None:
    pairing = Pairing(tmp_path / "two/0", tmp_path, ("plain_2",), (), "default", 1, 2)
    counted = [{"rank": 1, "quantity": "span waiting", "value": 1.0, "end": 2.0}]
    measured = {"name": "plain_2", "status": "measured", "ms": [5.0, 6.0]}
    told = {"model": "S", "precision": "fp32", "threads": 1, "vocabulary": 64}
    write_json(
        pairing.folder / "measured.json",
        {"asked": pairing.asked, **told, "contenders": [measured | {"counted": counted}]},
    )
    frame = Measured([pairing], "").curves(SPLITS)
    assert list(frame.columns) == [*COLUMNS, *COUNTS]
    assert frame["ms"].dropna().tolist() == [5.0, 6.0]
    (count,) = frame[frame["quantity"].notna()].to_dict("records")
    assert (count["contender"], count["rank"], count["end"]) == ("plain_2", 1, 2.0)


def test_one_allocator_alone_may_be_asked_for() -> None:
    (stage, _) = SPLITS.profile("small").stages
    found = pairings(SPLITS.folder, SPLITS.folder, ("plain_2",), [()], 1, 1, stage.allocators)
    assert [one.allocator for one in found] == ["default"]
    with pytest.raises(ConfigError, match="names such as"):
        pairings(SPLITS.folder, SPLITS.folder, ("plain-xp2",), [()], 1, 1)
