"""The options of the network: its shape, and where its LayerNorms stand."""

from __future__ import annotations

from dataclasses import dataclass

from hydratron.config.option import option, section
from hydratron.models.norms import NORMS
from hydratron.models.placements import PLACEMENTS
from hydratron.models.shape import RECOMPUTED, Shape


@dataclass
class LayerNormConfig:
    """`layernorm=`: the paper's ablation (section 5.3, Figure 7)."""

    placement: str = option(
        "pre",
        "pre: x + f(LN(x)); post: LN(x + f(x)); deepnorm: post, scaled; sandwich: x + LN(f(LN(x)))",
        choices=tuple(PLACEMENTS),
    )
    norm: str = option(
        "layernorm", "layernorm; rmsnorm: without mean and bias", choices=tuple(NORMS)
    )
    residual_scale: float | None = option(
        None, "factor on x in x + f(x); null: the placement's own, by depth", above=0
    )
    eps: float = option(1e-5, "added to the variance", above=0)


@dataclass
class ModelConfig:
    """`model=`: the shape of the network, the same for every parallel degree."""

    name: str = option("gpt_nano", "label in job names, tables and curves", size=True)
    architecture: str = option("gpt", "which network is built", choices=("gpt", "bert"), fixed=True)
    num_layers: int = option(4, "transformer layers", minimum=1, fixed=True, size=True)
    hidden_size: int = option(192, "width of the residual stream", minimum=1, fixed=True, size=True)
    num_attention_heads: int = option(
        4, "attention heads per layer", minimum=1, fixed=True, size=True
    )
    ffn_hidden_size: int | None = option(
        None, "width of the MLP; null means 4 * hidden_size", minimum=1, fixed=True, size=True
    )
    seq_length: int = option(
        128, "tokens per sequence, and learned positions", minimum=1, fixed=True
    )
    vocab_multiple: int = option(
        1024,
        "the vocabulary is padded to a multiple of this, whatever the parallel degree",
        minimum=1,
        fixed=True,
    )
    init_std: float | None = option(
        None,
        "standard deviation of the initial weights; null: 0.02 * sqrt(1024 / hidden_size), which "
        "follows the width; published models have 0.02",
        above=0,
        size=True,
    )
    dropout: float = option(
        0.1,
        "probability, after embedding, attention, projection and MLP; 0.1, the paper's, where a "
        "model file does not say; the small models of conf/ have 0",
        minimum=0,
        maximum=0.99,
    )
    gelu: str = option(
        "tanh", "tanh: GPT-2's approximation; erf: exact", choices=("tanh", "erf"), fixed=True
    )
    attention: str = option(
        "sdpa",
        "sdpa: fused; manual: materialised scores; auto: manual on CPUs up to 256 tokens, or sdpa",
        choices=("sdpa", "manual", "auto"),
    )
    recompute: str = option(
        "none",
        "what backward computes again instead of storing it; attention: its scores; mlp: what is "
        "4 h wide; layer: all of each layer",
        choices=RECOMPUTED,
        formerly={"False": "none", "True": "layer"},
    )
    loss_chunk_tokens: int = option(
        8192, "tokens whose logits are held at once in the loss", minimum=1
    )
    layernorm: LayerNormConfig = section(LayerNormConfig, fixed=True)

    def padded(self, vocab_size: int) -> int:
        """The smallest multiple of `vocab_multiple` that holds the tokenizer's vocabulary."""
        return -(-vocab_size // self.vocab_multiple) * self.vocab_multiple

    def shape(self, vocab_size: int) -> Shape:
        """What the network is built from; `vocab_size` is the tokenizer's, before padding."""
        norm = self.layernorm
        return Shape(
            num_layers=self.num_layers,
            hidden_size=self.hidden_size,
            num_attention_heads=self.num_attention_heads,
            padded_vocab_size=self.padded(vocab_size),
            seq_length=self.seq_length,
            ffn_hidden_size=self.ffn_hidden_size or 0,
            dropout=self.dropout,
            gelu=self.gelu,
            fused_attention=None if self.attention == "auto" else self.attention == "sdpa",
            placement=norm.placement,
            residual_scale=norm.residual_scale,
            norm=norm.norm,
            norm_eps=norm.eps,
            recompute=self.recompute,
            loss_chunk_tokens=self.loss_chunk_tokens,
        )
