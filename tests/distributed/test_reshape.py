"""`hydratron convert --to hydratron --parallel`: the same checkpoint in files of another degree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from hydratron.checkpoint.folder import load, save, verify
from hydratron.checkpoint.trust import TrustedReader
from hydratron.cli import main
from hydratron.config.schema import Config
from hydratron.interop.reshape import reshaped, rewrite
from hydratron.job import JobFolder, write_json
from hydratron.launch.history import last_row
from tests.helpers.participants import NESTED, OPTIMIZERS, TABLE, Run
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.training import run, series

# Momentum, since all other runs of real ranks have Adam's moments.
OPTIONS: dict[str, Any] = {
    "trainer__max_steps": 4,
    "checkpoint__every_n_steps": 2,
    "checkpoint__keep": 2,
    "optim__name": "sgd",
    "optim__momentum": 0.9,
    "optim__lr": 0.1,
}
TEXTS = {"config.yaml": "seed: 1\n", "tokenizer.json": "{}"}


def begin(rank: int, tp: int, target: Path) -> None:
    for name in OPTIMIZERS:
        saved = Run(tp, name)
        saved.step(5)
        saved.callback.content = NESTED
        save(target / name / "step_00000001", saved.participants, 1, TEXTS)


def rewritten(rank: int, tp: int, source: Path, target: Path) -> None:
    for name in OPTIMIZERS:
        path = Path(name) / "step_00000001"
        rewrite(source / path, target / path, TABLE, Run(tp).mesh, "seed: 2\n")
        if tp == 1:
            continue
        runs = Run(tp, name, seed=8), Run(tp, name, seed=9)
        for each, folder in zip(runs, (source, target), strict=True):
            assert load(folder / name / "step_00000001", each.participants) == 1
        first, second = (each.content() for each in runs)
        # The stream of a rank that was not saved stays as it was seeded.
        differ = [a for a, b in zip(first, second, strict=True) if a != b]
        assert all(line.startswith("random tensor_parallel") for line in differ)
        assert len(differ) == (rank > 0)
        assert repr(runs[1].callback.content) == repr(NESTED)


def test_every_optimizer_is_rewritten_bitwise(tmp_path: Path) -> None:
    run_ranks(begin, 1, tmp_path / "1")
    run_ranks(rewritten, 2, tmp_path / "1", tmp_path / "2")
    run_ranks(rewritten, 1, tmp_path / "2", tmp_path / "again")
    for name in OPTIMIZERS:
        path = tmp_path / "again" / name / "step_00000001"
        assert (path / "tokenizer.json").read_text() == "{}"
        assert (path / "config.yaml").read_text() == "seed: 2\n"
        state = [json.loads((f / name / path.name / "state.json").read_text())
                 for f in (tmp_path / "1", tmp_path / "again")]  # fmt: skip
        assert state[0] == state[1]


def reshaped_rank(rank: int, ranks: int, config: Config, folder: Path) -> dict[str, Any]:
    return reshaped(config, JobFolder(folder), None)


def launch(config: Config, folder: JobFolder, poll: Any, train: str) -> None:
    """The ranks of the tests in place of the launcher's."""
    results = run_ranks(reshaped_rank, config.parallel.world_size, config, folder.path)
    write_json(folder.result, results[0])


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Path]:
    """The checkpoint of step 2 of a job of one process, that job's rows, and its tokens."""
    data = synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)
    folder = tmp_path_factory.mktemp("runs") / "one"
    rows, _ = run(folder, data, **OPTIONS)
    return folder / "checkpoints" / "step_00000002", rows, data


def test_a_resume_from_the_rewritten_one_is_the_resume(
    job: tuple[Path, Any, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, rows, data = job
    command = ["convert", str(checkpoint), str(tmp_path / "out"), "--to", "hydratron"]
    with patch("hydratron.launch.forkserver.launch", launch):
        assert main([*command, "--parallel", "tp2"]) == 0
    assert "step_00000002 from single to tp2, 2 files" in capsys.readouterr().out
    out = tmp_path / "out" / "checkpoints" / checkpoint.name
    assert "tensor_model_parallel_size: 2" in (out / "config.yaml").read_text()
    assert last_row(JobFolder(tmp_path / "out"))["step"] == 2
    # Each rank has its half of what is split.
    assert {file.name for file in out.glob("*.distcp")} == {"__0_0.distcp", "__1_0.distcp"}
    metadata: Any = TrustedReader(out, verify(out)).read_metadata()
    words = metadata.state_dict_metadata["optimizer/momentum_buffer/word_embeddings.weight"]
    assert [tuple(chunk.sizes) for chunk in words.chunks] == [(32, 32)] * 2

    one, other = (
        run(tmp_path / f"from{number}", data, resume=start, tp=2, **OPTIONS)[0]
        for number, start in enumerate((checkpoint, out))
    )
    for key in ("train/loss", "grad_norm", "val/loss"):
        assert series(one, key) == series(other, key)
        expected = {step: value for step, value in series(rows, key).items() if step > 2}
        assert series(other, key) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--parallel", "tp3"], "does not divide model.num_attention_heads 4"),
        (["--parallel", "dp3"], "not divisible by parallel.data_parallel_size 3"),
        (["--parallel", "pp3"], "does not divide model.num_layers 2"),
        (["--parallel", "two"], "--parallel=two: no such choice"),
        (["--parallel", "tp2", "--tokenizer", "x"], "--parallel: does not go with --tokenizer"),
    ],
)
def test_what_does_not_split_so_is_one_line(
    options: list[str],
    said: str,
    job: tuple[Path, Any, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["convert", str(job[0]), str(tmp_path / "out"), "--to", "hydratron"]
    assert main([*command, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not [*tmp_path.iterdir()]
