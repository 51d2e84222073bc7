"""`hydratron evaluate` as a user runs it: real ranks, and one line for every mistake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hydratron.cli import main
from hydratron.cli.completion import of_evaluate
from hydratron.reporting.records import read_runs
from hydratron.reporting.tables import summary
from tests.helpers.prepared import prepared_folder
from tests.helpers.scored import checkpointed, small_gpt, write_task_files


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    checkpointed(folder / "000_one")
    checkpointed(folder / "001_two", small_gpt(num_layers=1))
    (folder / "002_none").mkdir()
    (folder / "002_none" / "config.yaml").write_text("{}")
    write_task_files(folder)
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted(folder.rglob("evaluation.json"))]


def evaluate(*words: object) -> int:
    return main(["evaluate", *map(str, words), "--threads", "1"])


def test_a_sweep_is_scored_told_again_and_reported(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = ("--task", "wikitext103", "--data", sweep / "wiki.tokens")
    assert evaluate(sweep, *task) == 0
    said = capsys.readouterr()
    assert "002_none: has no checkpoint, left out" in said.err
    assert said.out.count("unofficial") == 2
    one, two = records(sweep)
    assert one["metrics"]["perplexity"] != two["metrics"]["perplexity"]
    assert (one["official"], one["parallel"], one["checkpoint"]["step"]) == (False, "single", 20)
    assert evaluate(sweep / "000_one", *task, "--parallel", "tp2", "--batch", 3, "--again") == 0
    again = records(sweep)[0]
    assert (again["degrees"]["tensor"], again["batch"]) == (2, 3)
    for name, value in one["metrics"].items():
        assert again["metrics"][name] == pytest.approx(value, rel=1e-5)
    capsys.readouterr()
    assert evaluate(sweep / "000_one", *task) == 0
    assert "scored before" in capsys.readouterr().out
    # Another protocol stands beside it.
    assert evaluate(sweep / "000_one", *task, "--stride", 16) == 0
    assert len(records(sweep)) == 3
    assert {path.name for path in (sweep / "000_one" / "checkpoints").iterdir()} == {
        "evaluations", "step_00000020", "weights.pt"
    }  # fmt: skip
    # Of both runs the protocol that both have.
    table = summary(read_runs(sweep)).set_index("run")["eval/wikitext103/perplexity"]
    assert table["000_one"] == again["metrics"]["perplexity"]
    assert table["001_two"] == two["metrics"]["perplexity"]


def test_mistakes_are_one_line_and_leave_nothing(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, wiki, text = sweep / "000_one", sweep / "wiki.tokens", sweep / "text.jsonl"
    bert = checkpointed_bert(tmp_path / "bert")
    foreign = prepared_folder(tmp_path / "tokens", {"text_document": [[[1, 2, 3]]]}, 400)
    broken = checkpoint_without_tokenizer(sweep, tmp_path)
    torn, theirs = torn_checkpoint(sweep, tmp_path), tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.json").write_text('{"model_type": "gpt2"}')
    before = sorted(sweep.rglob("*"))
    wrong: list[tuple[Sequence[object], str]] = [
        ([tmp_path / "no", "wikitext103", wiki], "no such folder"),
        ([tmp_path / "tokens", "wikitext103", wiki], "neither a checkpoint, nor a job folder"),
        ([sweep / "002_none", "wikitext103", wiki], "has no checkpoint"),
        ([bert, "lambada", sweep / "lambada.jsonl"], "is a bert"),
        ([broken, "wikitext103", wiki], "missing or changed"),
        ([torn, "wikitext103", wiki], ".distcp: missing or changed"),
        ([theirs, "wikitext103", wiki], "is a folder of Hugging Face's; hydratron convert"),
        ([job, "lambada", wiki], "is not LAMBADA's file"),
        ([job, "wikitext103", tmp_path / "none"], "No such file"),
        ([job, "perplexity", wiki], "is not a .txt"),
        ([job, "perplexity", foreign], "was made by a tokenizer of 400 entries"),
        ([job, "perplexity", text, "--parallel", "tp3"], "does not divide"),
        ([job, "perplexity", text, "--parallel", "two"], "--parallel=two: no such choice"),
        ([job, "perplexity", text, "--context", "64"], "has 32 positions"),
        ([job, "perplexity", text, "--stride", "33"], "at most the context of 32"),
    ]
    for (checkpoint, task, data, *rest), expected in wrong:
        assert evaluate(checkpoint, "--task", task, "--data", data, *rest) == 2
        said = capsys.readouterr()
        assert said.out == ""
        [line] = said.err.splitlines()
        assert expected in line
    assert sorted(sweep.rglob("*")) == before


def checkpointed_bert(folder: Path) -> Path:
    return checkpointed(folder, small_gpt("bert"))


def checkpoint_without_tokenizer(sweep: Path, folder: Path) -> Path:
    copy = folder / "step_00000020"
    shutil.copytree(sweep / "001_two" / "checkpoints" / "step_00000020", copy)
    (copy / "tokenizer.json").unlink()
    return copy


def torn_checkpoint(sweep: Path, folder: Path) -> Path:
    copy = folder / "torn" / "step_00000020"
    shutil.copytree(sweep / "001_two" / "checkpoints" / "step_00000020", copy)
    shard = next(copy.glob("*.distcp"))
    shard.write_bytes(shard.read_bytes()[:-9])
    return copy


def test_completion_knows_tasks_and_degrees() -> None:
    assert of_evaluate(["job", "--task"]) == ["wikitext103", "lambada", "perplexity"]
    assert "tp2" in of_evaluate(["--parallel"])
    assert of_evaluate(["job"]) == []
