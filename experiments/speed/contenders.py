"""Who is measured: each builds one network, its optimizer and its clipping by the whole norm.

All start from the weights that our own job of the same configuration draws, where they have them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
import weights
from nano import Nano

from hydratron.config.schema import Config
from hydratron.models.init import initialize
from hydratron.models.language import LanguageModel
from hydratron.parallel.mesh import SINGLE, Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.training.build import build_network, parameter_table


@dataclass(frozen=True)
class Work:
    """What all of them are given: `rank` of `ranks` on a `device`; `vocab` before padding."""

    config: Config
    vocab: int
    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def shape(self) -> dict[str, int]:
        """The arguments of `Nano`."""
        model = self.config.model
        return {
            "layers": model.num_layers,
            "hidden": model.hidden_size,
            "heads": model.num_attention_heads,
            "seq": model.seq_length,
            "vocab": model.padded(self.vocab),
        }


@dataclass(frozen=True)
class Contender:
    """`loss(tokens, targets)` [b, s] -> mean loss, nats; `clip()` -> the norm before clipping.

    `replicated`: whether each rank takes its own share of the batch.
    """

    module: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    clip: Callable[[], Tensor]
    replicated: bool = False


def ours(work: Work) -> LanguageModel:
    """Our network for one process, with the weights that the job draws."""
    streams = RandomStreams(work.config.seed, work.device)
    network = build_network(work.config, work.vocab, Mesh(), streams, work.device)
    table = parameter_table(work.config)
    initialize(network, table, work.config.seed, SINGLE, work.vocab)
    return network


def our_weights(work: Work) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in ours(work).named_parameters()}


def optimizer_of(work: Work, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Fused AdamW with the job's rates; matrices decay.  DTensors stand in groups of their own."""
    optim = work.config.optim
    groups: dict[tuple[bool, type], list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault((parameter.dim() > 1, type(parameter.data)), []).append(parameter)
    told = [
        {"params": found, "weight_decay": optim.weight_decay if decayed else 0.0}
        for (decayed, _), found in groups.items()
    ]
    betas = (optim.beta1, optim.beta2)
    return torch.optim.AdamW(told, lr=optim.lr, betas=betas, eps=optim.eps, fused=True)


def alone(work: Work, module: nn.Module, loss: Any, replicated: bool = False) -> Contender:
    """A network whose parameters are whole on every rank."""
    held = list(module.parameters())

    def clip() -> Tensor:
        return nn.utils.clip_grad_norm_(held, work.config.optim.clip_grad)

    return Contender(module, loss, optimizer_of(work, held), clip, replicated)


def bare(work: Work) -> Contender:
    """Our network in a plain loop: without Lightning, checks, metrics and checkpoints."""
    network = ours(work)
    return alone(work, network, lambda x, y: network.loss(x, y) / y.numel())


def plain(work: Work, by_head: bool = False) -> Nano:
    module = Nano(**work.shape, by_head=by_head).to(work.device)
    given = weights.for_nano(our_weights(work), work.shape["heads"], by_head)
    module.load_state_dict(given)
    return module


def nano(work: Work) -> Contender:
    module = plain(work)
    return alone(work, module, module.loss)


def nano_compiled(work: Work) -> Contender:
    module = plain(work)
    return alone(work, module, torch.compile(module.loss))


def ddp(work: Work) -> Contender:
    """nano in torch's DistributedDataParallel."""
    model = nn.parallel.DistributedDataParallel(plain(work))

    def loss(tokens: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())

    return alone(work, model, loss, replicated=True)


def huggingface(work: Work) -> Contender:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = work.shape
    config = GPT2Config(
        vocab_size=shape["vocab"], n_positions=shape["seq"], n_embd=shape["hidden"],
        n_layer=shape["layers"], n_head=shape["heads"], activation_function="gelu",
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    module = GPT2LMHeadModel._from_config(config, attn_implementation="sdpa").to(work.device)
    module.load_state_dict(weights.for_huggingface(our_weights(work), shape["heads"]))

    def loss(tokens: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(module(tokens).logits.flatten(0, 1), targets.flatten())

    return alone(work, module.train(), loss)


def litgpt(work: Work) -> Contender:
    """GPT-2's shape, but for the positions: it rotates a quarter of each head instead."""
    from litgpt.config import Config as Shape
    from litgpt.model import GPT
    from litgpt.utils import chunked_cross_entropy

    shape = work.shape
    config = Shape(
        name="speed", block_size=shape["seq"], vocab_size=shape["vocab"],
        padded_vocab_size=shape["vocab"], n_layer=shape["layers"], n_head=shape["heads"],
        n_embd=shape["hidden"], parallel_residual=False, attn_bias=True, rotary_percentage=0.25,
    )  # fmt: skip
    module = GPT(config).to(work.device)
    module.lm_head.weight = module.transformer.wte.weight
    module.load_state_dict(weights.for_litgpt(our_weights(work), shape["heads"]))
    return alone(work, module, lambda x, y: chunked_cross_entropy(module(x), y, chunk_size=0))


def dtensor(work: Work) -> Contender:
    """nano under `parallelize_module`, its loss over a split vocabulary."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        loss_parallel,
        parallelize_module,
    )

    mesh = init_device_mesh(work.device.type, (work.ranks,))
    module = plain(work, by_head=True)
    plan = {
        "words": RowwiseParallel(input_layouts=Replicate()),
        "blocks.*.qkv": ColwiseParallel(),
        "blocks.*.proj": RowwiseParallel(),
        "blocks.*.up": ColwiseParallel(),
        "blocks.*.down": RowwiseParallel(),
        "head": ColwiseParallel(use_local_output=False),
    }
    parallelize_module(module, mesh, plan)
    module.head.weight = module.words.weight
    held = list(module.parameters())
    whole = [p for p in held if not isinstance(p.data, DTensor)]
    split = [p for p in held if isinstance(p.data, DTensor)]

    def loss(tokens: Tensor, targets: Tensor) -> Tensor:
        # Its backward has to run in the block too, which `backward` of a hook cannot say.
        return module.loss(tokens, targets)

    def clip() -> Tensor:
        norms = [nn.utils.get_total_norm([p.grad for p in part]) for part in (whole, split)]
        norm = torch.stack([getattr(n, "full_tensor", lambda n=n: n)() for n in norms]).norm()
        for part in (whole, split):
            nn.utils.clip_grads_with_norm_(part, work.config.optim.clip_grad, norm, foreach=False)
        return norm

    context = loss_parallel()
    context.__enter__()
    return Contender(module, loss, optimizer_of(work, held), clip)


def megatron_core(work: Work) -> Contender:
    from megatron_peer import build, squared_norm

    module, loss = build(work.shape, work.rank, work.ranks, weights.for_megatron(
        our_weights(work), work.rank, work.ranks
    ))  # fmt: skip
    held = [p for p in module.parameters() if p.requires_grad]

    def clip() -> Tensor:
        norm = squared_norm(held, work.rank).sqrt()
        nn.utils.clip_grads_with_norm_(held, work.config.optim.clip_grad, norm)
        return norm

    return Contender(module, loss, optimizer_of(work, held), clip)


BUILDERS: dict[str, Callable[[Work], Contender]] = {
    "bare": bare,
    "nano": nano,
    "nano_compiled": nano_compiled,
    "ddp": ddp,
    "huggingface": huggingface,
    "litgpt": litgpt,
    "dtensor": dtensor,
    "megatron_core": megatron_core,
}
PACKAGES = {"huggingface": "transformers", "litgpt": "litgpt", "megatron_core": "megatron-core"}


def versions() -> dict[str, str | None]:
    """The version of the package of each; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in BUILDERS:
        try:
            found[name] = version(PACKAGES.get(name, "torch"))
        except PackageNotFoundError:
            found[name] = None
    return found


def ready(work: Work) -> None:
    """Wait for the other ranks."""
    if work.ranks > 1:
        dist.barrier()
