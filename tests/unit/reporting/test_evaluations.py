"""Of each task the evaluations that can be compared stand, and converted models are no jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydratron.job import JobFolder, write_json
from hydratron.reporting.evaluations import evaluation_notes
from hydratron.reporting.records import Run, read_runs

KEY = "eval/wikitext103/perplexity"


def job(folder: Path, name: str, *records: dict[str, Any], verb: str = "train") -> None:
    made = JobFolder(folder / name)
    made.path.mkdir()
    made.config.write_text("{model: {name: gpt_pico}}")
    write_json(made.provenance, {"verb": verb})
    if verb == "train":
        write_json(made.result, {"status": "completed"})
    for number, record in enumerate(records):
        place = made.checkpoints / "evaluations" / str(number)
        write_json(place / "evaluation.json", record)


def record(
    value: float, file: str, official: bool = False, stride: int = 32, step: int = 10, at: str = "1"
) -> dict[str, Any]:
    return {
        "task": "wikitext103", "metrics": {"perplexity": value}, "file": file, "sha256": file,
        "protocol": {"stride": stride}, "official": official, "written": at,
        "checkpoint": {"name": f"step_{step:08d}", "step": step},
    }  # fmt: skip


def standing(folder: Path) -> list[float | None]:
    return [run.evaluated.get(KEY) for run in read_runs(folder)]


def test_what_most_runs_have_stands_before_what_is_official(tmp_path: Path) -> None:
    job(tmp_path, "a", record(1.0, "part"), record(2.0, "whole", official=True))
    job(tmp_path, "b", record(3.0, "part"))
    assert standing(tmp_path) == [1.0, 3.0]


def test_of_as_many_the_official_one_stands_then_the_latest(tmp_path: Path) -> None:
    # The unofficial one is the newer, by step and by date.
    job(tmp_path, "a", record(1.0, "part", step=20, at="2"), record(2.0, "whole", official=True))
    job(tmp_path, "b", record(3.0, "whole", official=True), record(4.0, "part", step=20, at="2"))
    assert standing(tmp_path) == [2.0, 3.0]
    assert evaluation_notes(read_runs(tmp_path)) == ["wikitext103: scored on whole, official"]
    other = tmp_path / "others"
    other.mkdir()
    job(other, "a", record(1.0, "part", stride=32, at="1"), record(2.0, "part", stride=64, at="2"))
    assert standing(other) == [2.0]
    assert evaluation_notes(read_runs(other)) == [
        "wikitext103: scored on part, not the task's whole file"
    ]


def test_a_run_has_the_numbers_of_its_latest_checkpoint(tmp_path: Path) -> None:
    job(tmp_path, "a", record(1.0, "part", step=10, at="9"), record(2.0, "part", step=20, at="1"))
    job(tmp_path, "b")
    assert standing(tmp_path) == [2.0, None]


def test_a_converted_model_is_a_run_where_it_is_scored_or_all_there_is(tmp_path: Path) -> None:
    job(tmp_path, "b", verb="convert")
    assert named(read_runs(tmp_path)) == [("b", "converted")]
    job(tmp_path, "a")
    assert named(read_runs(tmp_path)) == [("a", "completed")]
    job(tmp_path, "c", record(1.0, "part"), verb="convert")
    assert named(read_runs(tmp_path)) == [("a", "completed"), ("c", "converted")]


def named(runs: list[Run]) -> list[tuple[str, str]]:
    return [(run.name, run.status) for run in runs]
