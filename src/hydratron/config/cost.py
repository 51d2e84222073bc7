"""The work of a job in FLOPs: for the time left of a sweep, and for the share of the peak (MFU)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hydratron.config.model import ModelConfig
from hydratron.config.schema import Config

GPT2_VOCABULARY = 50257
BERT_VOCABULARY = 30522


def flops_per_token(
    model: ModelConfig,
    padded_vocab_size: int,
    masking_prob: float = 0.15,
    length: int | None = None,
    fine_tuned: bool = False,
) -> float:
    """FLOPs of forward and backward for one token, without recomputation.

    72 L h^2 (1 + s / (6 h) + V / (12 L h)), Narayanan et al. 2021 (arXiv:2104.04473), with the
    MLP's width f in place of 4 h.  Recomputed work is not useful work and does not count.  BERT's
    head (dense layer and logits) counts for the masked tokens only, as many as a sample may have,
    its pooler and order head once a sequence; attention counts all s^2 scores in both, seen or not.
    `fine_tuned`: the pooler and a head of two numbers alone.  `length`: of the sequences, where
    their padding is cut.
    """
    h, s = model.hidden_size, length or model.seq_length
    head: float = padded_vocab_size * h
    if model.architecture == "bert":
        head = masking_prob * (h * h + head) * (not fine_tuned) + (h * h + 2 * h) / s
    return 6.0 * (model.num_layers * layer_multiply_adds(model, s) + head)


def layer_multiply_adds(model: ModelConfig, length: int | None = None) -> int:
    """Of one layer for one token, forward, in sequences of `length`, else of the model's."""
    h, f = model.hidden_size, model.ffn_hidden_size or 4 * model.hidden_size
    s = length or model.seq_length
    return 4 * h * h + 2 * h * f + 2 * s * h


def training_flops(config: Config) -> float:
    """FLOPs of all steps of a job, before its data are there: the vocabulary is as configured."""
    work = Work(config, config.model.padded(vocabulary(config)))
    return work.of(config.trainer.max_steps, {}).flops


class Done(NamedTuple):
    """What all replicas did together; tokens that the network read, padding included."""

    tokens: int
    flops: float


@dataclass(frozen=True)
class Work:
    """What the steps of a job are, by the shapes that the network saw."""

    config: Config
    padded_vocab_size: int

    def of(self, steps: int, lengths: Mapping[int, int]) -> Done:
        """`lengths`: of one replica, how many sequences it read of each length, where the padding
        of a batch is cut; the others are taken to have read as many."""
        if not lengths:
            tokens = steps * self.config.tokens_per_step
            return Done(tokens, tokens * self._each())
        replicas = self.config.parallel.data_parallel_size
        sizes = {s: s * count * replicas for s, count in lengths.items()}
        flops = sum(tokens * self._each(s) for s, tokens in sizes.items())
        return Done(sum(sizes.values()), flops)

    def _each(self, length: int | None = None) -> float:
        config = self.config
        rows, masked = self.padded_vocab_size, config.data.masking_prob
        fine_tuned = bool(config.learning.examples)
        return flops_per_token(config.model, rows, masked, length, fine_tuned)


def vocabulary(config: Config) -> int:
    """Entries, as configured: what the data have is not known yet."""
    published = {"gpt2": GPT2_VOCABULARY, "bert": BERT_VOCABULARY}
    return published.get(config.tokenizer.kind, config.tokenizer.vocab_size)
