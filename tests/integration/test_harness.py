"""`hydratron evaluate --harness` as a user runs it: real ranks, and one line for every mistake."""

from __future__ import annotations

import functools
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hydratron.cli import main
from hydratron.reporting.records import read_runs
from hydratron.reporting.tables import summary
from tests.helpers.harnessed import ANSWERS, LAMBADA, write_task
from tests.helpers.scored import PASSAGES, checkpointed

needs_extra = pytest.mark.skipif(find_spec("lm_eval") is None, reason="needs the extra [harness]")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    checkpointed(folder / "000_one")
    rows = [{"text": text, "answer": "x"} for text in PASSAGES]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "passages.jsonl").write_text(lines, encoding="utf-8")
    for name, template in (("words", LAMBADA), ("answers", ANSWERS)):
        write_task(folder / "tasks", name, template, folder / "passages.jsonl")
    write_task(folder / "tasks", "far", LAMBADA, folder / "none.jsonl")
    return folder


def evaluate(*words: object) -> int:
    return main(["evaluate", *map(str, words), "--threads", "1"])


def records(folder: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(p.read_text()) for p in folder.rglob("evaluation.json")]
    return {record["task"]: record for record in found}


@needs_extra
@pytest.mark.filterwarnings("ignore")
def test_tasks_are_scored_by_two_ranks_and_reported(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(sweep / "hf"))
    tasks = ("--harness", "words,answers", "--include", sweep / "tasks")
    assert evaluate(sweep, *tasks, "--parallel", "tp2") == 0
    assert "lm-eval-words: " in capsys.readouterr().out
    found = records(sweep)
    ours, answers = found["lm-eval-words"], found["lm-eval-answers"]
    assert answers["metrics"] == {"exact_match": 0.0}
    assert (ours["official"], ours["parallel"], ours["counts"]["requests"]) == (False, "tp2", 3)
    # Our own LAMBADA is the same question.
    assert evaluate(sweep, "--task", "lambada", "--data", sweep / "passages.jsonl") == 0
    own = records(sweep)["lambada"]["metrics"]
    assert ours["metrics"]["perplexity"] == pytest.approx(own["target_perplexity"], rel=1e-5)
    assert ours["metrics"]["acc"] == pytest.approx(own["accuracy"])
    capsys.readouterr()
    assert evaluate(sweep, *tasks) == 0
    assert capsys.readouterr().out.count("scored before") == 2
    table = summary(read_runs(sweep)).set_index("run")
    assert table["eval/lm-eval-words/perplexity"]["000_one"] == ours["metrics"]["perplexity"]


@needs_extra
@pytest.mark.filterwarnings("ignore")
def test_mistakes_are_one_line(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import lm_eval.tasks

    # Without the thousands of tasks that come with it, which take it long to list.
    only = functools.partial(lm_eval.tasks.TaskManager, include_path=str(sweep / "tasks"))
    some = lambda **how: only(include_defaults=False)  # noqa: E731
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", some)
    include = ("--include", sweep / "tasks")
    for words, expected in (
        (("--harness", "wordz", *include), "--harness=wordz: no such task; nearest: "),
        (("--harness", "far", *include), "--harness=far: cannot be loaded: "),
        (("--harness", "words", "--include", sweep / "no"), "no such folder"),
        (("--harness", "words", *include, "--context", 64), "has 32 positions"),
    ):
        assert evaluate(sweep, *words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        [line] = said.err.splitlines()
        assert expected in line


def test_ways_do_not_mix_and_the_extra_is_named(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, expected in (
        ((), "--task is needed, or --harness"),
        (("--task", "lambada"), "--data is needed"),
        (("--harness", "words", "--stride", 3), "--stride is for --task"),
        (("--task", "lambada", "--limit", 3), "--limit is for --harness"),
    ):
        with pytest.raises(SystemExit, match="2"):
            evaluate(sweep, *words)
        assert expected in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    assert evaluate(sweep, "--harness", "words") == 2
    said = "--harness: needs lm-eval, which is not installed: pip install 'hydratron[harness]'"
    assert capsys.readouterr().err == f"hydratron: {said}\n"
