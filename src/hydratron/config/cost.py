"""What a job costs, so that a sweep can say how much of it is left."""

from __future__ import annotations

from hydratron.config.schema import Config

GPT2_VOCABULARY = 50257


def training_flops(config: Config) -> float:
    """Forward and backward of all tokens: 6 FLOPs a parameter and token, attention left out."""
    model, trainer, tokenizer = config.model, config.trainer, config.tokenizer
    vocabulary = GPT2_VOCABULARY if tokenizer.kind == "gpt2" else tokenizer.vocab_size
    padded = -(-vocabulary // model.vocab_multiple) * model.vocab_multiple
    tokens = trainer.max_steps * trainer.global_batch_size * model.seq_length
    parameters = 12 * model.num_layers * model.hidden_size**2 + padded * model.hidden_size
    return 6.0 * tokens * parameters
