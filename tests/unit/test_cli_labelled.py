"""Fine-tuning as it is typed: what is counted and told before it starts, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.cli.labelled import counted, examples
from hydratron.config.plan import plan
from hydratron.data.corpus import open_corpus
from tests.helpers.labelled import labelled_files


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    files = labelled_files(tmp_path / "files", "sst2", 20, 5)
    model = ["model=bert_pico", "tokenizer=bert", f"tokenizer.path={files / 'vocab.txt'}"]
    short = ["model.seq_length=10", "trainer.max_epochs=2", "logger=none"]
    return ["task=sst2", f"data.path={files}", *model, *short]


def test_examples_are_counted_and_told(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--prepare-only", *asked]) == 0
    out, err = capsys.readouterr()
    folder = Path(out.strip())
    assert open_corpus(folder).sentences
    planned = counted(plan(asked))
    assert planned.jobs[0].config.trainer.max_steps == 2 * (20 // 8)
    found = examples(planned.jobs[0].config, folder)["examples"]
    cut = found["train"]["cut"]
    assert 0 < cut < 20
    assert f"sst2: train: 20 examples, {cut} cut to fit 10 tokens; validation: 5 examples" in err


def test_a_broken_row_is_one_line(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "files" / "dev.tsv"
    file.write_text(file.read_text() + "no label here\n")
    assert main(["train", *asked]) == 2
    said = capsys.readouterr().err
    assert said == f"hydratron: {file}, row 7: has 1 columns; 2 are expected\n"
    assert {path.name for path in tmp_path.iterdir()} == {"files", "outputs"}
    left = [path.name for path in (tmp_path / "outputs" / "cache").iterdir()]
    assert all(name.endswith(".lock") for name in left)


def test_a_folder_without_the_files_is_one_line(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "files" / "dev.tsv").unlink()
    assert main(["train", *asked]) == 2
    said = capsys.readouterr().err
    assert said == f"hydratron: data.path={tmp_path / 'files'}: has no dev.tsv, the task's files\n"


def test_a_part_whose_rows_are_all_left_out_says_why(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "files" / "dev.tsv"
    file.write_text("sentence\tlabel\n \t0\n \t1\n")
    assert main(["train", *asked]) == 2
    expected = "has no example for validation, 2 empty texts skipped"
    assert capsys.readouterr().err == f"hydratron: data.path={file}: {expected}\n"
