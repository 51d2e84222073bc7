"""Any parallel degree is a choice: typed, swept, in files, and in the processes of launchers."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton

from hydratron.config.compose import composer
from hydratron.config.degrees import FORM, label, sizes
from hydratron.config.parallel import ParallelConfig
from hydratron.config.plan import jobs
from hydratron.errors import HydratronError

WIDE = ["trainer.global_batch_size=64"]


@pytest.mark.parametrize(
    ("choice", "degrees", "name"),
    [
        ("single", (1, 1, 1), "single"),
        ("tp2", (2, 1, 1), "tp2"),
        ("tp2_dp8", (2, 8, 1), "tp2_dp8"),
        ("dp8_tp2", (2, 8, 1), "tp2_dp8"),
        ("pp3_dp16_tp4", (4, 16, 3), "tp4_dp16_pp3"),
        ("tp1_dp2", (1, 2, 1), "dp2"),
    ],
)
def test_a_choice_is_its_degrees(choice: str, degrees: tuple[int, ...], name: str) -> None:
    found = sizes(choice)
    assert found is not None
    assert tuple(found.values()) == degrees
    tp, dp, pp = found.values()
    parallel = ParallelConfig(tp, dp, pp)
    assert (parallel.label, label(*degrees)) == (name, name)
    assert parallel.world_size == degrees[0] * degrees[1] * degrees[2]


@pytest.mark.parametrize(
    "choice", ["foo", "tp0", "tp02", "tp2_tp4", "tp", "tp-2", "TP2", "tp2_", "_", "tp2dp2"]
)
def test_anything_else_is_refused_with_the_form(choice: str) -> None:
    with pytest.raises(HydratronError) as caught:
        jobs([f"parallel={choice}"])
    assert str(caught.value) == f"parallel={choice}: no such choice; {FORM}"


STAGES = "parallel.pipeline_model_parallel_size"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ["parallel=pp3", "model=gpt_nano", "model.num_layers=4"],
            f"{STAGES}=3: does not divide model.num_layers 4 (remainder 1); valid: 1, 2, 4",
        ),
        (
            [
                "parallel=pp4_dp2", "model=gpt_nano", "model.num_layers=4",
                "parallel.pipeline_schedule=1f1b", "trainer.global_batch_size=16",
                "trainer.micro_batch_size=4",
            ],
            "parallel.pipeline_schedule=1f1b: needs 4 micro-batches for 4 stages, and a step has "
            "2; gpipe, or trainer.micro_batch_size 1, 2",
        ),
    ],
)  # fmt: skip
def test_what_stages_cannot_do_is_said_with_the_numbers(asked: list[str], said: str) -> None:
    with pytest.raises(HydratronError) as caught:
        jobs(asked)
    assert str(caught.value) == said


def test_a_pipeline_is_the_outermost_axis() -> None:
    parallel = jobs(["parallel=pp2_tp2", "model=gpt_nano"])[0].config.parallel
    assert [*parallel.axes.items()] == [("pipeline", 2), ("data", 1), ("tensor", 2)]
    assert [*jobs(["parallel=pp1_tp2"])[0].config.parallel.axes] == ["data", "tensor"]


def test_a_sweep_takes_any(tmp_path: Path) -> None:
    planned = jobs(["parallel=single,tp2,dp32_tp2", *WIDE], multirun=True)
    assert [job.config.parallel.label for job in planned] == ["single", "tp2", "tp2_dp32"]
    planned = jobs(["parallel=glob(tp2_dp?)"], multirun=True)
    assert [job.config.parallel.label for job in planned] == ["tp2_dp2", "tp2_dp4"]


def test_files_name_any_and_folders_add_their_own(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    experiment = tmp_path / "experiment" / "wide.yaml"
    header = "# @package _global_\ndefaults:\n  - override /parallel: "
    experiment.write_text(f"{header}tp4_dp16\n")
    (tmp_path / "parallel").mkdir()
    (tmp_path / "parallel" / "mine.yaml").write_text("data_parallel_size: 16\n")
    path = f"hydra.searchpath=[file://{tmp_path}]"
    assert jobs([path, "experiment=wide", *WIDE])[0].config.parallel.label == "tp4_dp16"
    assert jobs([path, "parallel=mine", *WIDE])[0].config.parallel.label == "dp16"
    experiment.write_text(f"{header}pp7\n")
    with pytest.raises(HydratronError, match=f"^{STAGES}=7: does not divide model.num_layers"):
        jobs([path, "experiment=wide"])
    experiment.write_text(f"{header}tp02\n")
    with pytest.raises(HydratronError) as caught:
        jobs([path, "experiment=wide"])
    assert str(caught.value) == f"parallel=tp02: no such choice; {FORM}"


CHILD = """
import pickle, sys
from hydra.core.singleton import Singleton
from hydra.types import RunMode
state, loader = pickle.load(sys.stdin.buffer)
Singleton.set_state(state)
for searchpath in ([], ["hydra.searchpath=[file:///nowhere]"]):
    lines = ["parallel=tp16_dp3", *searchpath]
    composed = loader.load_configuration("config", lines, RunMode.RUN)
    print(*list(composed.parallel.values())[:3])
"""


def test_a_launchers_process_composes_any() -> None:
    """joblib's and submitit's take the singletons and the loader along in a pickle."""
    with composer():
        loader = GlobalHydra.instance().config_loader()
        # The resolvers of ${...}, which only cloudpickle can carry, have no part in this.
        state = Singleton.get_state() | {"omegaconf_resolvers": {}}
        content = pickle.dumps((state, loader))
    command = [sys.executable, "-W", "ignore", "-c", CHILD]
    ran = subprocess.run(command, input=content, capture_output=True, check=False)
    assert (ran.returncode, ran.stderr.decode()) == (0, "")
    assert ran.stdout.decode().splitlines() == ["16 3 1", "16 3 1"]
