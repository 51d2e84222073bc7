"""Per-layer norms of activations, gradients and updates: where in the depth a run breaks first."""

from __future__ import annotations

from typing import Any

import lightning as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from hydratron.training.metrics import MetricsLog
from hydratron.training.module import LanguageModule


class LayerWatch(Callback):
    """Every `every_n_steps` optimizer steps one row with three metrics for each layer.

    `layers/03/activation_rms`: root of the mean square of the layer's output over the global batch;
    `layers/03/grad_norm`: 2-norm of the gradient of its parameters, before clipping;
    `layers/03/update_ratio`: 2-norm of what the optimizer changed over that of its parameters.
    A measured step holds a second copy of the layers' parameters.
    """

    def __init__(self, metrics: MetricsLog, every_n_steps: int) -> None:
        self.metrics, self.every = metrics, every_n_steps
        self._hooks: list[Any] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, i: int
    ) -> None:
        if (trainer.global_step + 1) % self.every:
            return
        assert isinstance(pl_module, LanguageModule)
        layers = {int(name): layer for name, layer in pl_module.network.layers.items()}
        self._before = {
            at: [p.detach().clone() for p in layer.parameters()] for at, layer in layers.items()
        }
        # [L, 2]: sum of squares and number of values; zero for layers of other stages.
        depth = pl_module.config.model.num_layers
        self._outputs = torch.zeros(depth, 2, dtype=torch.float64, device=pl_module.device)
        for at, layer in layers.items():
            self._hooks.append(layer.register_forward_hook(self._output_hook(at)))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        if not self._hooks:
            return
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        assert isinstance(pl_module, LanguageModule)
        with self.metrics.paused():
            row = self._row(pl_module)
        self.metrics.write(pl_module, pl_module.number, row)

    def _output_hook(self, at: int) -> Any:
        # Recomputed outputs are seen twice, which leaves their mean as it is.
        def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
            values = output.detach()
            self._outputs[at, 0] += values.double().square().sum()
            self._outputs[at, 1] += values.numel()

        return add

    def _row(self, module: LanguageModule) -> dict[str, float]:
        mesh, clip = module.mesh_strategy.mesh, module.config.optim.clip_grad
        squares = torch.zeros(len(self._outputs), 3, dtype=torch.float64, device=module.device)
        for at, before in self._before.items():
            layer = module.network.layers[str(at)]
            squares[at] = self._squares(module, f"layers.{at}.", layer, before)
        del self._before
        mesh.pipeline.all_reduce(squares)
        outputs = mesh.pipeline.all_reduce(mesh.data.all_reduce(self._outputs))
        if module.streams.in_sequence:  # a layer's output is that of a rank's own tokens
            outputs = mesh.tensor.all_reduce(outputs)
        gradients, weights, changes = mesh.tensor.all_reduce(squares).sqrt().unbind(dim=1)
        norm = module.result.grad_norm
        # As torch.nn.utils.clip_grads_with_norm_ has scaled them.
        scale = min(1.0, clip / (norm + 1e-6)) if clip and module.result.broken is None else 1.0
        found = {
            "activation_rms": (outputs[:, 0] / outputs[:, 1]).sqrt(),
            "grad_norm": gradients / scale,
            "update_ratio": changes / weights,
        }
        return {
            f"layers/{at:02d}/{name}": float(values[at])
            for at in range(len(squares))
            for name, values in found.items()
        }

    def _squares(
        self, module: LanguageModule, prefix: str, layer: nn.Module, before: list[Tensor]
    ) -> Tensor:
        """[3]: squared norms of this rank's part of the gradient, the parameters and their change.

        What every rank of the group holds is counted by the first alone.
        """
        first = module.mesh_strategy.mesh.tensor.rank == 0
        total = torch.zeros(3, dtype=torch.float64, device=module.device)
        for (name, now), old in zip(layer.named_parameters(), before, strict=True):
            if first or module.table[prefix + name].shard_dim is not None:
                gradient = torch.zeros_like(now) if now.grad is None else now.grad
                parts = (gradient, now.detach(), now.detach() - old)
                total += torch.stack([part.double().square().sum() for part in parts])
        return total
