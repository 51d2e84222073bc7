"""megatron-core's GPTModel on CPUs: two patches, and fusions off, which need its CUDA kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn


class NoTracker:
    """In place of its CUDA random states: dropout is 0, so nothing is drawn."""

    def is_initialized(self) -> bool:
        return True

    @contextlib.contextmanager
    def fork(self, name: str = "") -> Iterator[None]:
        yield


def _patch() -> None:
    from megatron.core.tensor_parallel import layers, random
    from megatron.core.transformer import dot_product_attention

    torch.cuda.current_device = lambda: torch.device("cpu")  # type: ignore[assignment,return-value]
    tracker = NoTracker()
    for module in (random, layers, dot_product_attention.tensor_parallel):
        module.get_cuda_rng_tracker = lambda *args, **kwargs: tracker


def build(
    shape: Mapping[str, int], rank: int, ranks: int, given: Mapping[str, Tensor]
) -> tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    """This rank's part with the weights `given`, and its mean loss of [b, s] tokens."""
    from megatron.core import parallel_state
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from megatron.core.transformer.transformer_config import TransformerConfig

    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        _patch()
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    parallel_state.initialize_model_parallel(tensor_model_parallel_size=ranks)
    if on_gpu:
        from megatron.core.tensor_parallel.random import model_parallel_cuda_manual_seed

        model_parallel_cuda_manual_seed(1)
    config = TransformerConfig(
        num_layers=shape["layers"], hidden_size=shape["hidden"],
        num_attention_heads=shape["heads"], ffn_hidden_size=4 * shape["hidden"],
        tensor_model_parallel_size=ranks, use_cpu_initialization=True,
        hidden_dropout=0.0, attention_dropout=0.0, bias_activation_fusion=False,
        masked_softmax_fusion=False, bias_dropout_fusion=False,
        gradient_accumulation_fusion=False, persist_layer_norm=False, apply_rope_fusion=False,
    )  # fmt: skip
    module = GPTModel(
        config, get_gpt_layer_local_spec(), shape["vocab"], shape["seq"],
        position_embedding_type="learned_absolute", share_embeddings_and_output_weights=True,
        parallel_output=True,
    )  # fmt: skip
    if on_gpu:
        module = module.cuda()
    own = module.state_dict()
    module.load_state_dict({k: given[k] for k in own if isinstance(own[k], Tensor)}, strict=False)
    missing = {name for name, _ in module.named_parameters()} - set(given)
    assert not missing, missing

    # Its own would be built on a GPU.
    seq, device = shape["seq"], next(module.parameters()).device
    future = torch.ones(1, 1, seq, seq, dtype=torch.bool, device=device).triu(1)

    def loss(tokens: Tensor, targets: Tensor) -> Tensor:
        places = torch.arange(seq, device=device).expand_as(tokens)
        return module(tokens, places, future, labels=targets).mean()

    return module, loss


def squared_norm(parameters: Sequence[nn.Parameter], rank: int) -> Tensor:
    """Of the whole gradient: what all ranks hold alike counts once, on the first."""
    mine = [p for p in parameters if rank == 0 or getattr(p, "tensor_model_parallel", False)]
    total = nn.utils.get_total_norm([p.grad for p in mine if p.grad is not None]).square()
    if dist.get_world_size() > 1:
        dist.all_reduce(total)
    return total
