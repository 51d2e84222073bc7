"""What a reader adds is one row, and at most one file: followed in a copy of the checkout."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.copies import Copy

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
ROW = """
    "second_half": Row(
        "gpt",
        learns="hydratron.tasks.second_half:SecondHalf",
        reads="hydratron.data.samples.assemble:gpt_samples",
    ),
"""


def test_a_norm_is_a_function_and_a_row(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    norms = "src/hydratron/models/norms.py"
    copy.insert(norms, 'Norm = Callable[[int, float, "device | str | None"], "nn.Module"]', NORM)
    copy.insert(norms, "NORMS: dict[str, Norm] = {", '    "l2norm": l2norm,')
    assert copy.touched == {norms}
    result = copy.train("model.layernorm.norm=l2norm")
    plain = Copy(tmp_path / "plain").train()
    assert result["status"] == plain["status"] == "completed"
    # Two layers of two norms and the last one, of 128 weights and biases each.
    assert plain["parameters"] - result["parameters"] == 5 * 2 * 128
    assert result["val/loss"] != plain["val/loss"]


def test_a_task_is_a_class_and_a_row(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.create("src/hydratron/tasks/second_half.py", TASK.lstrip())
    copy.insert("src/hydratron/tasks/table.py", "TASKS: dict[str, Row] = {", ROW.strip("\n"))
    assert len(copy.touched) == 2
    assert copy.train("task=second_half")["status"] == "completed"
    planned = copy.run(
        "plan", "model=gpt_pico", "task=second_half", "plan.suggest=false", "hydra.run.dir=plan"
    )
    assert "Collectives of a step" in planned
