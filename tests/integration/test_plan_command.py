"""`hydratron plan` as a process of its own, in an empty folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hydratron.planner import record_file
from tests.helpers.launchers import python

LIMIT = 2**20
"""KiB that the plan of the largest model may take."""
# Runs a command as its only child and appends that child's largest resident memory, in KiB.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def plan(folder: Path, *overrides: str) -> tuple[int, str, str]:
    """Exit code, output and complaints of `hydratron plan` in a folder, measured."""
    process = python(
        "-c",
        MEASURED,
        *("-m", "hydratron.cli", "plan", *overrides),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=300)
    return process.returncode, out.decode(), err.decode()


def written(folder: Path) -> dict[str, Any]:
    (file,) = folder.rglob("plan.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def documented() -> set[str]:
    """The keys that the docstring of the file's own module explains."""
    lines = (record_file.__doc__ or "").splitlines()[2:]
    return {line.split()[0] for line in lines if line and not line.startswith(" ")}


def test_a_plan_is_shown_and_written(tmp_path: Path) -> None:
    code, out, err = plan(tmp_path, "model=gpt_pico", "parallel=tp2")
    assert code == 0, err
    content = written(tmp_path)
    assert documented() <= content.keys()
    assert content["world_size"] == 2
    assert content["micro_batches"] * content["micro_batch_size"] == 512
    assert content["per_layer"] == {"forward": 2, "backward": 2}
    assert content["fits"] == {"V100 32 GB": True, "A100 80 GB": True, "H100 80 GB": True}
    assert content["change"] is None
    (line,) = (line for line in out.splitlines() if line.startswith("Fits"))
    for gpu in content["fits"]:
        assert f"{gpu} yes" in line
    first = content["collectives"][0]
    assert first.keys() == {"phase", "module", "operation", "group", "size", "bytes"}
    assert content["memory"]["total"] == sum(content["memory"]["bytes"].values())
    seconds = dict(content["seconds"])
    total, share = seconds.pop("total"), seconds.pop("tensor_share")
    assert total == pytest.approx(sum(seconds.values()))
    assert share == pytest.approx(seconds["tensor"] / total)


def test_the_largest_model_takes_less_than_a_gibibyte(tmp_path: Path) -> None:
    code, out, err = plan(tmp_path, "model=gpt2_8.3b", "parallel=tp8_dp64")
    assert code == 0, err
    assert int(out.splitlines()[-1]) < LIMIT
    content = written(tmp_path)
    assert content["parameters"] == {"rank": 1_043_549_184, "model": 8_317_040_640}
    assert round(content["flops"]["total"] / 1e12, 4) == 71.4726


TOO_FEW = "trainer.global_batch_size=100: not divisible by parallel.data_parallel_size 64"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("model=gpt2_8.3b", "parallel=tp8_dp64", "trainer.global_batch_size=100"), [TOO_FEW]),
        # The default model has fewer heads than a replica has ranks here.
        (
            ("parallel=tp8_dp64", "trainer.global_batch_size=100"),
            ["size=8: does not divide model.num_attention_heads 4 (remainder 4)", TOO_FEW],
        ),
        (
            ("model=gpt2_8.3b", "parallel.tensor_model_parallel_size=7"),
            ["size=7: does not divide model.num_attention_heads 24 (remainder 3)"],
        ),
    ],
)
def test_what_cannot_be_split_is_refused_in_a_line_each(
    overrides: tuple[str, ...], said: list[str], tmp_path: Path
) -> None:
    code, _, err = plan(tmp_path, *overrides)
    assert code == 2
    for line, part in zip(err.splitlines(), said, strict=True):
        assert part in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["parallel=tp2", "parallel.backend=dtensor"],
        ["-m", "parallel=tp2", "parallel.backend=explicit,dtensor", "model.attention=manual"],
    ],
)
def test_a_backend_that_is_not_planned_is_one_line(overrides: list[str], tmp_path: Path) -> None:
    code, out, err = plan(tmp_path, "model=gpt_pico", "model.recompute=none", *overrides)
    assert code == 2
    assert err == "hydratron: parallel.backend=dtensor: what it sends is not planned; explicit\n"
    assert [line for line in out.splitlines() if not line.isdigit()] == []
    assert not list(tmp_path.iterdir())
