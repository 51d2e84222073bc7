"""What GPT and BERT share: word and position embeddings, the layers, the LayerNorm outside them.

Shapes: b batch, s sequence, h hidden, V padded vocabulary, t group size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.cache import KeyValueCache
from hydratron.models.norms import NORMS
from hydratron.models.placements import PLACEMENTS
from hydratron.models.shape import Shape
from hydratron.models.transformer import TransformerLayer
from hydratron.parallel.cross_entropy import vocab_parallel_linear_loss
from hydratron.parallel.layers import Device, VocabParallelEmbedding
from hydratron.parallel.mappings import gather_from_tensor_model_parallel_region
from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import ALONE, Region, TensorParallelRegion
from hydratron.parallel.sharding import ParamSpec


class LinearLoss(Protocol):
    """The summed loss of hidden states, as `vocab_parallel_linear_loss` takes and gives it."""

    def __call__(
        self,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        group: ParallelGroup,
        chunk_tokens: int,
        bias: Tensor | None = None,
    ) -> Tensor: ...


class LanguageModel(nn.Module):
    """The trunk of a network: embed, a range of layers, end.

    `layers` are the numbers of those that are built here, all by default; the embeddings belong
    to the first of the network's layers, and what follows the last one to that.  The word
    embeddings belong to both, because the head uses them too.  `linear_loss` may be replaced.

    Where some are missing, forward gives what flows on after the last one that is here, and begins
    `receiving` what flowed up to the first of them.
    """

    causal: ClassVar[bool]

    def __init__(
        self,
        shape: Shape,
        streams: RandomStreams,
        region: Region = ALONE,
        device: Device = None,
        layers: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.region, self.streams = shape, region, streams
        self.group = region.group
        # SPMD hands in its own.
        self.linear_loss: LinearLoss = vocab_parallel_linear_loss
        self._received: Tensor | None = None
        numbers = range(shape.num_layers) if layers is None else layers
        self.first, self.last = numbers[0] == 0, numbers[-1] == shape.num_layers - 1
        h = shape.hidden_size
        if self.first or self.last:
            self.word_embeddings = VocabParallelEmbedding(
                shape.padded_vocab_size, h, self.group, device
            )
        if self.first:
            self.position_embeddings = nn.Parameter(torch.empty(shape.seq_length, h, device=device))
        # By number, so that a parameter has the same name whichever layers are beside it.
        self.layers = nn.ModuleDict(
            {str(n): TransformerLayer(shape, region, streams, self.causal, device) for n in numbers}
        )
        outer = PLACEMENTS[shape.placement].outer_norm
        norm = partial(NORMS[shape.norm], h, shape.norm_eps, device)
        here = self.first and outer == "embedding"
        self.embedding_norm = norm() if here else nn.Identity()
        self.final_norm = norm() if self.last and outer == "end" else nn.Identity()
        self.add_head(device)

    def add_head(self, device: Device) -> None:
        """What a network adds to the trunk, where its parts are here; GPT adds nothing."""

    def embed(self, tokens: Tensor, first: int = 0) -> Tensor:
        """Words and positions, [b, s] -> [b, s, h]; `first` is the position of the first token."""
        words: Tensor = self.word_embeddings(tokens)
        return words + self.position_embeddings[first : first + tokens.shape[1]]

    @contextmanager
    def receiving(self, x: Tensor | None) -> Iterator[None]:
        """Inside, forward goes on from x, what the layers before those that are here gave."""
        before, self._received = self._received, x
        try:
            yield
        finally:
            self._received = before

    @property
    def received(self) -> Tensor:
        """In place of the embedding, where the first layer is not here."""
        assert self._received is not None, "a stage behind the first one was given nothing"
        return self._received

    def encode(
        self, x: Tensor, mask: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Embedded tokens -> hidden states after the last layer, [b, s, h], equal on all ranks.

        Of a stage: what it received -> what flows on.
        """
        return self.end(self.through(self.begin(x), mask, cache))

    def begin(self, x: Tensor) -> Tensor:
        """From the embedding to what flows between the layers.

        Dropout comes before an embedding LayerNorm, as in Megatron-LM, not after it, as in
        Google's BERT.
        """
        if not self.first:
            return x
        dropped = F.dropout(self.region.split(x), self.shape.dropout, self.training)
        normed: Tensor = self.embedding_norm(dropped)
        return normed

    def through(
        self, x: Tensor, mask: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """The layers that are here; `cache` has what they computed of the tokens before x."""
        recompute = self.shape.recompute == "layer" and torch.is_grad_enabled()
        for name, layer in self.layers.items():
            masked = partial(layer, mask=mask)
            if cache is not None:  # A layer that is computed twice would keep its tokens twice.
                x = masked(x, cache=cache[name])
                continue
            x = self.streams.recompute(masked, x) if recompute else masked(x)
        return x

    def end(self, x: Tensor) -> Tensor:
        """From what flows between the layers to hidden states [b, s, h], equal on all ranks."""
        if not self.last:
            return x
        return self.region.join(self.final_norm(x))

    def word_loss(self, hidden: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
        """Summed cross-entropy in nats of hidden states [n, h] over targets [n] >= 0, fp32."""
        return self.linear_loss(
            hidden, self.word_embeddings.weight, targets, self.group, self.shape.loss_chunk_tokens,
            bias,
        )  # fmt: skip

    def tied_logits(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x E^T + bias, [b, s, h] -> [b, s, V], gathered on every rank; `bias` [V / t]."""
        x = TensorParallelRegion(self.group).enter(x)
        logits = F.linear(x, self.word_embeddings.weight, bias)
        return gather_from_tensor_model_parallel_region(logits, self.group)


def trunk_parameters(shape: Shape, init_std: float) -> tuple[ParamSpec, ...]:
    """How the parameters of `LanguageModel` are split, drawn and decayed (paper, section 4.2)."""
    stds = PLACEMENTS[shape.placement].initial_stds(shape.num_layers, init_std)
    row_scales: tuple[float, ...] = ()
    if stds.value != init_std:
        ones = (1.0,) * (2 * shape.head_dim)
        row_scales = (*ones, *(stds.value / init_std,) * shape.head_dim)
    layer = r"layers\.\d+\."
    qkv = layer + r"attention\.sublayer\.query_key_value\."
    inner = layer + r"mlp\.sublayer\.dense_h_to_4h\."
    row = layer + r"(attention\.sublayer\.dense|mlp\.sublayer\.dense_4h_to_h)\."
    norm = rf"({layer}(attention|mlp)\.norm\d*|embedding_norm|final_norm)\."
    return (
        ParamSpec(
            r"word_embeddings\.weight",
            shard_dim=0,
            std=init_std,
            decayed=True,
            vocab=True,
            tied=True,
        ),
        ParamSpec(r"position_embeddings", std=init_std, decayed=True),
        ParamSpec(qkv + "weight", shard_dim=0, std=init_std, decayed=True, row_scales=row_scales),
        ParamSpec(qkv + "bias", shard_dim=0),
        ParamSpec(inner + "weight", shard_dim=0, std=stds.inner, decayed=True),
        ParamSpec(inner + "bias", shard_dim=0),
        ParamSpec(row + "weight", shard_dim=1, std=stds.output, decayed=True),
        ParamSpec(row + "bias", between=True),
        ParamSpec(norm + "weight", mean=1.0, between=True),
        ParamSpec(norm + "bias", between=True),
    )
