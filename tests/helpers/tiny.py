"""A small GPT for tests, and what a real optimizer step of it would see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hydratron.models.gpt import GPTModel, gpt_parameters
from hydratron.models.init import initialize
from hydratron.parallel.mesh import SINGLE, ParallelGroup
from hydratron.parallel.random import RandomStreams

LAYERS, HIDDEN, HEADS, SEQ, VOCAB = 2, 16, 4, 8, 50
TABLE = gpt_parameters(LAYERS, init_std=0.2)


def tiny_options(group: ParallelGroup, seed: int) -> dict[str, Any]:
    """What the tiny GPT and the tiny BERT have in common; their vocabulary of 50 padded to 64."""
    return {
        "num_layers": LAYERS,
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "padded_vocab_size": 64,
        "seq_length": SEQ,
        "streams": RandomStreams(seed, tensor=group),
    }


def tiny_gpt(group: ParallelGroup = SINGLE, seed: int = 1, **changes: Any) -> GPTModel:
    """An initialised model of two layers."""
    options = tiny_options(group, seed) | changes
    model = GPTModel(**options, group=group)
    head_dim = options["hidden_size"] // options["num_attention_heads"]
    table = gpt_parameters(options["num_layers"], 0.2, options.get("placement", "pre"), head_dim)
    initialize(model, table, seed, group, VOCAB)
    return model


def tiny_batch(samples: int = 3) -> tuple[Tensor, Tensor]:
    """Random tokens and targets [samples, SEQ], always the same."""
    generator = torch.Generator().manual_seed(5)
    batch = torch.randint(0, VOCAB, (samples, SEQ + 1), generator=generator)
    return batch[:, :-1], batch[:, 1:]
