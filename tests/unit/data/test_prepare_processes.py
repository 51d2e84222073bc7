"""Several processes prepare the same data, and one of them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig, TokenizerConfig
from hydratron.data.manifest import read_manifest
from hydratron.data.prepare import prepare

PROGRAM = """
import sys, time
from pathlib import Path
from hydratron.config.schema import DataConfig, TokenizerConfig
from hydratron.data import prepare as preparing
from hydratron.data.preparer import build

corpus, cache, log, behaviour = sys.argv[1:]
fill = preparing.fill

def hang(*arguments):
    print("written", flush=True)
    time.sleep(600)

def watched(*arguments):
    with open(log, "a") as file:
        file.write("build\\n")
    if behaviour == "hang":
        build.write_manifest = hang
    return fill(*arguments)

preparing.fill = watched
data = DataConfig(source="text", path=corpus, cache_dir=cache)
print(preparing.prepare(data, TokenizerConfig(vocab_size=300), progress=False))
"""


def start(corpus: Path, data: DataConfig, log: Path, behaviour: str) -> subprocess.Popen[str]:
    arguments = [str(corpus), data.cache_dir, str(log), behaviour]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_killed_build_leaves_nothing_finished(
    corpus: Path, data: DataConfig, bpe: TokenizerConfig, tmp_path: Path
) -> None:
    with start(corpus, data, tmp_path / "log", "hang") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    cache = Path(data.cache_dir)
    left = [path.name for path in cache.iterdir() if path.is_dir()]
    assert len(left) == 1
    assert left[0].endswith(".tmp")
    assert not (cache / left[0] / "manifest.json").exists()

    folder = prepare(data, bpe, progress=False)
    assert read_manifest(folder).datasets["train"].documents == 47
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


@pytest.mark.fault(34)
def test_four_processes_build_once(
    corpus: Path, data: DataConfig, bpe: TokenizerConfig, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    processes = [start(corpus, data, log, "work") for _ in range(4)]
    folders = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert len(folders) == 1
    assert log.read_text() == "build\n"

    data.cache_dir = str(tmp_path / "other")
    again = prepare(data, bpe, progress=False)
    first = Path(folders.pop().strip())
    for name in ("manifest.json", "tokenizer.json", "train.bin", "validation.idx"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert read_manifest(first).datasets["train"].documents == 47
