"""The work of a job in FLOPs: for the time left of a sweep, and for the share of the peak (MFU)."""

from __future__ import annotations

from hydratron.config.model import ModelConfig
from hydratron.config.schema import Config

GPT2_VOCABULARY = 50257
BERT_VOCABULARY = 30522


def flops_per_token(
    model: ModelConfig, padded_vocab_size: int, masking_prob: float = 0.15
) -> float:
    """FLOPs of forward and backward for one token, without recomputation.

    72 L h^2 (1 + s / (6 h) + V / (12 L h)), Narayanan et al. 2021 (arXiv:2104.04473), with the
    MLP's width f in place of 4 h.  Recomputed work is not useful work and does not count.  BERT's
    head (dense layer and logits) counts for the masked tokens only, as many as a sample may have,
    its pooler and order head once a sequence; attention counts all s^2 scores in both, seen or not.
    """
    h, s = model.hidden_size, model.seq_length
    head: float = padded_vocab_size * h
    if model.architecture == "bert":
        head = masking_prob * (h * h + head) + (h * h + 2 * h) / s
    return 6.0 * (model.num_layers * layer_multiply_adds(model) + head)


def layer_multiply_adds(model: ModelConfig) -> int:
    """Of one layer for one token, forward."""
    h, s, f = model.hidden_size, model.seq_length, model.ffn_hidden_size or 4 * model.hidden_size
    return 4 * h * h + 2 * h * f + 2 * s * h


def training_flops(config: Config) -> float:
    """FLOPs of all steps of a job, before its data are there: the vocabulary is as configured."""
    tokens = config.trainer.max_steps * config.tokens_per_step
    return tokens * flops_per_token(
        config.model, config.model.padded(vocabulary(config)), config.data.masking_prob
    )


def vocabulary(config: Config) -> int:
    """Entries, as configured: what the data have is not known yet."""
    published = {"gpt2": GPT2_VOCABULARY, "bert": BERT_VOCABULARY}
    return published.get(config.tokenizer.kind, config.tokenizer.vocab_size)
