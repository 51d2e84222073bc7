"""What a network is built from: its sizes, and the choices inside its layers.  Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

# Nothing; the scores and their softmax, dropout and sum; what is f wide; each layer.
RECOMPUTED = ("none", "attention", "mlp", "layer")


@dataclass(frozen=True)
class Shape:
    """The same for every parallel degree.

    `ffn_hidden_size` 0 is 4 h.  `placement` and `norm` name rows of `PLACEMENTS` and `NORMS`;
    `residual_scale` None is the placement's own, a function of the depth.  `recompute`, one
    of RECOMPUTED: what is computed again in backward, instead of kept.  `fused_attention` None is
    by the device and the length.  `loss_chunk_tokens`: tokens
    whose logits are held at once.
    """

    num_layers: int
    hidden_size: int
    num_attention_heads: int
    padded_vocab_size: int
    seq_length: int
    ffn_hidden_size: int = 0
    dropout: float = 0.0
    gelu: str = "tanh"
    fused_attention: bool | None = True
    placement: str = "pre"
    residual_scale: float | None = None
    norm: str = "layernorm"
    norm_eps: float = 1e-5
    recompute: str = "none"
    loss_chunk_tokens: int = 8192

    @property
    def ffn(self) -> int:
        return self.ffn_hidden_size or 4 * self.hidden_size

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads
