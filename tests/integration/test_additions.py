"""An optimizer, a metric, a norm and a task of one's own: a row each and at most one file.

All four are added to one copy of the checkout, and one job there uses them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from hydratron.job import read_json
from tests.helpers.copies import Copy

SOURCE = "src/hydratron"
NORM = '''
def l2norm(size: int, eps: float, device: device | str | None = None) -> nn.Module:
    """x / |x|, without parameters."""
    from torch import nn
    from torch.nn import functional as F

    class L2Norm(nn.Module):
        def forward(self, x: object) -> object:
            return F.normalize(x, dim=-1, eps=eps)

    return L2Norm()

'''
TASK = '''
"""Next-token prediction of the second half of a sequence alone."""

from hydratron.tasks.causal import Causal


class SecondHalf(Causal):
    def counts(self, batch):
        return super().counts(batch) / 2

    def sums(self, network, batch):
        tokens = batch["tokens"]
        targets = tokens[:, 1:].clone()
        targets[:, : targets.shape[1] // 2] = -1
        return network.loss(tokens[:, :-1], targets).unsqueeze(0)
'''
TASK_ROW = """
    "second_half": Row(
        "gpt",
        learns="hydratron.tasks.second_half:SecondHalf",
        reads="hydratron.data.samples.assemble:gpt_samples",
    ),
"""
OPTIMIZER = """
    "nadam": Optimizer("NAdam", lambda optim: {"betas": (optim.beta1, optim.beta2)}),
"""
METRIC = '    Metric("train/answer", "The answer", "of everything", column="answer"),'
CALL = '            "train/answer": 42.5, "train/unlisted": 7.25,'
JOB = (
    "model=gpt_pico", "model.seq_length=32", "model.layernorm.norm=l2norm", "optim=nadam",
    "task=second_half", "trainer.max_steps=2", "trainer.global_batch_size=2",
    "trainer.val_samples=2", "trainer.val_every_n_steps=2", "launch.threads_per_rank=1",
    "logger=none", "data=text", "data.path=text.txt", "tokenizer.vocab_size=257",
)  # fmt: skip
PLAN = ("model=gpt_pico", "task=second_half", "plan.suggest=false", "hydra.run.dir=plan")
WORKSPACE = """
import json, sys
from pathlib import Path
from hydratron.reporting.records import read_runs
from hydratron.workspace.spec import columns, workspace
runs = read_runs(Path(sys.argv[1]))
plots = [plot for plot in workspace(runs, "t", "e", "p").sections[0].panels]
print(json.dumps({"titles": [p.title for p in plots], "columns": columns(runs, [])}))
"""


@dataclass(frozen=True)
class Trained:
    """The copy, which files each addition touched, and what the job printed and gave."""

    copy: Copy
    touched: dict[str, list[str]]
    printed: str
    result: dict[str, Any]

    def file(self, name: str) -> str:
        return (self.copy.folder / "job" / name).read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    copy = Copy(tmp_path_factory.mktemp("copy"))
    norms = f"{SOURCE}/models/norms.py"
    touched = {
        "norm": [
            copy.insert(norms, "Norm = Callable[", NORM),
            copy.insert(norms, "NORMS: dict[str, Norm] = {", '    "l2norm": l2norm,'),
        ],
        "task": [
            copy.create(f"{SOURCE}/tasks/second_half.py", TASK.lstrip()),
            copy.insert(f"{SOURCE}/tasks/table.py", "TASKS: dict", TASK_ROW.strip("\n")),
        ],
        "optimizer": [
            copy.insert(
                f"{SOURCE}/config/optimizers.py", "OPTIMIZERS: dict", OPTIMIZER.strip("\n")
            ),
            copy.create("conf/optim/nadam.yaml", "# with Nesterov's momentum\nname: nadam\n"),
        ],
        "metric": [
            copy.insert(f"{SOURCE}/reporting/metrics.py", 'Metric("train/spikes"', METRIC),
            copy.insert(f"{SOURCE}/training/metrics.py", '"train/spikes": ', CALL),
        ],
    }
    (copy.folder / "text.txt").write_text("so it goes, and on it goes; " * 400)
    printed = copy.python("-m", "hydratron.cli", "train", *JOB, "hydra.run.dir=job")
    return Trained(copy, touched, printed, read_json(copy.folder / "job" / "result.json") or {})


def test_each_touches_at_most_two_files(trained: Trained) -> None:
    assert trained.touched.keys() == {"norm", "task", "optimizer", "metric"}
    assert all(len({*files}) <= 2 for files in trained.touched.values())
    assert (trained.result["status"], trained.result["step"]) == ("completed", 2)


def test_a_norm_is_a_function_and_a_row(trained: Trained) -> None:
    assert "norm: l2norm" in trained.file("config.yaml")
    h, padded, s = 128, 1024, 32
    # Without the weights and biases of the norms.
    assert trained.result["parameters"] == (padded + s) * h + 2 * (12 * h * h + 9 * h)


def test_an_optimizer_is_a_row_and_its_values(trained: Trained) -> None:
    assert "name: nadam" in trained.file("config.yaml")
    (state,) = (trained.copy.folder / "job" / "checkpoints").glob("*/state.json")
    content = json.loads(state.read_text())["participants"]["optimizer"]
    assert content["optimizer"] == "NAdam"


def test_a_task_is_a_class_and_a_row_also_for_the_planner(trained: Trained) -> None:
    assert "task: second_half" in trained.file("config.yaml")
    planned = trained.copy.python("-m", "hydratron.cli", "plan", *PLAN)
    assert "Collectives of a step" in planned


def test_a_metric_is_a_row_and_a_call_and_one_without_a_row_has_its_section(
    trained: Trained,
) -> None:
    assert "answer" in trained.printed
    assert "42.5" in trained.printed
    assert "unlisted" not in trained.printed
    (row,) = pd.read_csv(trained.copy.folder / "job" / "summary.csv").to_dict("records")
    assert (row["train/answer"], row["train/unlisted"]) == (42.5, 7.25)
    page = trained.file("dashboard.html")
    assert "<h3>The answer</h3><small>of everything</small>" in page
    others = page.split("<h2>Other metrics</h2>")[1].split("<section")[0]
    assert others.count("<h3>") == 1
    assert "<h3>Train unlisted</h3>" in others
    shown = json.loads(trained.copy.python("-c", WORKSPACE, "job"))
    assert {"The answer", "Train unlisted"} <= {*shown["titles"]}
    assert {"summary:train/answer", "summary:train/unlisted"} <= {*shown["columns"]}
