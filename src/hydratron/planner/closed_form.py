"""Published formulas beside which the counts are shown."""

from __future__ import annotations

from hydratron.config.cost import flops_per_token, layer_multiply_adds
from hydratron.config.model import ModelConfig


def step_flops(
    model: ModelConfig, padded_vocab_size: int, sequences: int, masking_prob: float = 0.15
) -> float:
    """FLOPs of forward and backward of `sequences` sequences, recomputation of layers included.

    72 b s l h^2 (1 + s / 6h + V / 12lh), or with recomputation 96 b s l h^2 (1 + s / 6h + V / 16lh)
    (Narayanan et al. 2021, arXiv:2104.04473).
    """
    tokens = sequences * model.seq_length
    total = tokens * flops_per_token(model, padded_vocab_size, masking_prob)
    if model.recompute == "layer":
        total += 2.0 * tokens * model.num_layers * layer_multiply_adds(model)
    return total


def bubble_share(stages: int, micro_batches: int) -> float:
    """Share of a step that a pipeline idles for each unit of work: (p - 1) / (m + p - 1).

    Huang et al. 2019, GPipe (arXiv:1811.06965), section 2.
    """
    return (stages - 1) / (micro_batches + stages - 1)


def break_even_micro_batches(stages: int, share: float) -> float:
    """The m at which a pipeline of p stages idles `share` of its time; infinite for no share."""
    return (stages - 1) * (1 / share - 1) if share else float("inf")
