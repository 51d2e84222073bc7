"""FLOPs against the closed form for the published sizes."""

from __future__ import annotations

import pytest

from hydratron.config.cost import Work, flops_per_token, training_flops
from hydratron.config.load import from_dict
from hydratron.config.model import ModelConfig


@pytest.mark.parametrize(("layers", "hidden"), [(24, 1024), (72, 3072)])
def test_flops_equal_the_closed_form(layers: int, hidden: int) -> None:
    s, v, b = 1024, 51200, 8
    model = ModelConfig(num_layers=layers, hidden_size=hidden, seq_length=s)
    closed = 72 * b * s * layers * hidden**2 * (1 + s / (6 * hidden) + v / (12 * layers * hidden))
    assert b * s * flops_per_token(model, v) == pytest.approx(closed, rel=1e-12)


def test_a_job_costs_its_tokens_at_the_vocabulary_of_its_tokenizer() -> None:
    model = {"num_layers": 4, "hidden_size": 192, "seq_length": 128}
    content = {"model": model, "trainer": {"max_steps": 10, "global_batch_size": 8}}
    config = from_dict(content | {"tokenizer": {"vocab_size": 2000}})
    tokens = 10 * 8 * 128
    assert training_flops(config) == tokens * flops_per_token(config.model, 2048)
    config = from_dict(content | {"tokenizer": {"kind": "gpt2"}})
    assert training_flops(config) == tokens * flops_per_token(config.model, 51200)


def test_bert_pays_for_its_head_at_masked_tokens_only() -> None:
    h, s, v, layers = 64, 32, 1000, 3
    gpt, bert = (
        flops_per_token(
            ModelConfig(architecture=name, num_layers=layers, hidden_size=h, seq_length=s), v
        )
        for name in ("gpt", "bert")
    )
    blocks = gpt - 6 * v * h
    per_sequence = 0.15 * s * (h * h + v * h) + h * h + 2 * h
    assert bert == pytest.approx(blocks + 6 * per_sequence / s, rel=1e-12)


def test_bert_s_own_vocabulary_is_counted() -> None:
    model = {"architecture": "bert", "vocab_multiple": 128}
    config = from_dict({"model": model, "tokenizer": {"kind": "bert", "vocab_size": 300}})
    tokens = config.samples * config.model.seq_length
    assert training_flops(config) == tokens * flops_per_token(config.model, 30592)


def test_fine_tuning_counts_what_the_network_read() -> None:
    h, layers = 64, 3
    model = {"architecture": "bert", "num_layers": layers, "hidden_size": h, "seq_length": 32}
    degrees = {"data_parallel_size": 2}
    config = from_dict({"model": model, "task": "race", "parallel": degrees})
    # Of one of two replicas, 12 sequences of 8 tokens and 4 of 16.
    done = Work(config, 2048).of(2, {8: 12, 16: 4})
    assert done.tokens == 2 * (12 * 8 + 4 * 16)
    layer = {s: 12 * h * h + 2 * s * h for s in (8, 16)}
    head = h * h + 2 * h  # pooler and head, once a sequence; nothing of a vocabulary
    per_sequence = {s: 6 * (s * layers * layer[s] + head) for s in (8, 16)}
    assert done.flops == pytest.approx(2 * (12 * per_sequence[8] + 4 * per_sequence[16]))
    # Before anything was read, whole sequences: four for a question.
    whole = Work(config, 2048).of(2, {})
    assert whole.tokens == 2 * config.trainer.global_batch_size * 4 * 32
    assert whole.flops == pytest.approx(
        whole.tokens / 32 * 6 * (32 * layers * (12 * h * h + 64 * h) + head)
    )
