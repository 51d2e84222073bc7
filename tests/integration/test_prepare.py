"""`hydratron prepare` as a user sees it: what it prints, and what is left when it is ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.data.tokenizer import train_bpe
from tests.unit.data.conftest import sentence

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    texts = [sentence(i) for i in range(50)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder with work for several processes and many seconds, and a tokenizer."""
    folder = tmp_path / "large"
    folder.mkdir()
    train_bpe([sentence(i) for i in range(60)], 260).save(folder / "tokenizer.json")
    with (folder / "a.jsonl").open("w") as file:
        for i in range(100):
            # No word occurs twice.
            words = " ".join(f"{j * 7919 + i:x}" for j in range(20_000))
            file.write(json.dumps({"text": words}) + "\n")
    return folder


def prepare(*arguments: str | Path) -> int:
    return main(["prepare", *map(str, arguments)])


def test_text_to_tokens_to_one_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tokens"
    command = (corpus, "--output", output, "--vocab-size", "300")
    assert prepare(*command) == 0
    line = capsys.readouterr().out
    counts = rf"{output}: 50 documents, 50 sequences, \d,\d\d\d tokens; "
    assert re.fullmatch(counts + r"0\.0 MB in \d+\.\d s, \d+\.\d MB/s\n", line)

    assert prepare(*command) == 0
    line = capsys.readouterr().out
    assert re.fullmatch(counts + r"the same input and settings as before, nothing to do\n", line)

    assert prepare("--verify", output) == 0
    assert capsys.readouterr().out.endswith("tokens; as it should be\n")
    (output / "text_document.bin").write_bytes(
        (output / "text_document.bin").read_bytes().replace(b"\x01", b"\x00")
    )
    assert prepare("--verify", output) == 1
    assert "its sha256 is" in capsys.readouterr().err


def test_folders_are_merged(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tokens"
    assert prepare(corpus, "--output", output, "--vocab-size", "300", "--sentences") == 0
    assert prepare("--merge", output, output, "--output", tmp_path / "both") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{tmp_path}/both/text_sentence: 100 documents, 100 sequences, ")
    assert last.endswith(" tokens from 2 paths")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["a.txt"], "--output is missing: the folder to write"),
        (
            ["a.txt", "--output", "x", "--workers", "0"],
            "argument --workers: 0 is not a number above 0",
        ),
        (["--verify", "--merge", "a"], "--verify and --merge exclude each other"),
        ([], "the following arguments are required: INPUT"),
    ],
)
def test_a_wrong_command_gets_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        prepare(*arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"hydratron: {line} (see hydratron prepare --help)\n"


def start(corpus: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hydratron.cli", "prepare", str(corpus), "--workers", "2"]
    tokenizer = str(corpus / "tokenizer.json")
    return subprocess.Popen(
        [*command, "--output", str(output), "--tokenizer", tokenizer],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        start_new_session=True,
    )


def workers(parent: int) -> list[int]:
    """The worker processes of a command that is running."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = re.search(rf"^PPid:\s+{parent}$", (process / "status").read_text(), re.M)
            if ours and b"spawn_main" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def started(process: subprocess.Popen[str]) -> list[int]:
    """Both workers, once they run."""
    wait_for(lambda: len(workers(process.pid)) == 2 or process.poll() is not None)
    return workers(process.pid)


def test_ctrl_c_leaves_no_process_and_no_folder(large: Path, tmp_path: Path) -> None:
    with start(large, tmp_path / "tokens") as process:
        pids = started(process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "hydratron: interrupted\n"
    assert len(pids) == 2
    assert not any(map(running, pids))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["large"]


def test_a_worker_that_dies_ends_the_command_with_one_line(large: Path, tmp_path: Path) -> None:
    with start(large, tmp_path / "tokens") as process:
        pids = started(process)
        os.kill(pids[0], signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode == 2
    expected = "hydratron: prepare: a worker died, perhaps for want of memory; fewer workers"
    assert errors.startswith(expected)
    assert errors.count("\n") == 1
    assert not any(map(running, pids))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["large"]


def test_workers_of_a_killed_command_do_not_survive(large: Path, tmp_path: Path) -> None:
    with start(large, tmp_path / "tokens") as process:
        pids = started(process)
        process.kill()
    assert len(pids) == 2
    wait_for(lambda: not any(map(running, pids)), 20.0)
    left = next(tmp_path.glob(".tokens.*.tmp"))
    assert not (left / "manifest.json").exists()
    assert not list(left.glob("*.idx"))
