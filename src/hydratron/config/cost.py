"""The work of a job in FLOPs: for the time left of a sweep, and for the share of the peak (MFU)."""

from __future__ import annotations

from hydratron.config.schema import Config, ModelConfig

GPT2_VOCABULARY = 50257


def flops_per_token(model: ModelConfig, padded_vocab_size: int) -> float:
    """FLOPs of forward and backward for one token, without recomputation.

    72 L h^2 (1 + s / (6 h) + V / (12 L h)), Narayanan et al. 2021 (arXiv:2104.04473), with the
    MLP's width f in place of 4 h.  Recomputed work is not useful work and does not count.
    """
    h, f = model.hidden_size, model.ffn_hidden_size or 4 * model.hidden_size
    per_layer = 4 * h * h + 2 * h * f + 2 * model.seq_length * h  # multiply-adds, forward
    return 6.0 * (model.num_layers * per_layer + padded_vocab_size * h)


def training_flops(config: Config) -> float:
    """FLOPs of all steps of a job, before its data are there: the vocabulary is as configured."""
    tokenizer = config.tokenizer
    vocab_size = GPT2_VOCABULARY if tokenizer.kind == "gpt2" else tokenizer.vocab_size
    tokens = config.trainer.max_steps * config.tokens_per_step
    return tokens * flops_per_token(config.model, config.model.padded(vocab_size))
