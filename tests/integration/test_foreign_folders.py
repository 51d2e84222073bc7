"""A folder that no job made is left as it is, whatever lies in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.config.load import dump
from hydratron.config.schema import Config

pytestmark = pytest.mark.fault

FOREIGN = {
    "logs": {"logs/mine.log": "mine"},
    "checkpoints": {"checkpoints/step_00000001/mine": "mine"},
    "sweep": {"000_job/config.yaml": "", "dashboard.html": "", "summary.csv": ""},
    "config": {"config.yaml": ""},
    "other provenance": {"config.yaml": "", "provenance.json": "{"},
    "other result": {"result.json": "[]"},
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.fault(46)
@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_training_starts_in_no_foreign_folder(
    files: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    before = read(tmp_path)
    assert main(["train", "hydra.run.dir=."]) == 2
    said = capsys.readouterr().err
    first = min(Path(name).parts[-1 if name.startswith("logs") else 0] for name in files)
    assert said == (
        f"hydratron: .: not empty and no job's folder ({first} lies there); "
        "choose another hydra.run.dir or hydra.sweep.dir\n"
    )
    assert read(tmp_path) == before


@pytest.mark.fault(46)
def test_neither_does_a_plan_and_no_file_is_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump(Config(), tmp_path / "config.yaml")
    for folder in (tmp_path, tmp_path / "config.yaml"):
        assert main(["plan", f"hydra.run.dir={folder}"]) == 2
        assert "no job's folder (config.yaml lies there)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
