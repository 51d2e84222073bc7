"""Small jobs to plan, and their configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydratron.config.load import from_dict
from hydratron.config.schema import Config
from hydratron.planner.recorder import UPDATE, Collective

VOCAB = 60


def small_job(tp: int = 1, dp: int = 1, **changes: Any) -> Config:
    """A GPT of two layers whose 60 words are padded to 64; changes are `group__key=value`."""
    content: dict[str, Any] = {
        "model": {
            "num_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "seq_length": 16,
            "dropout": 0.0, "init_std": 0.1, "vocab_multiple": 64,
        },
        "trainer": {
            "accelerator": "cpu", "max_steps": 4, "global_batch_size": 8, "log_every_n_steps": 10,
        },
        "parallel": {"tensor_model_parallel_size": tp, "data_parallel_size": dp},
        "logger": {"kind": "none"},
        "plan": {"vocab_size": VOCAB},
    }  # fmt: skip
    for key, value in changes.items():
        group, name = key.split("__")
        content.setdefault(group, {})[name] = value
    return from_dict(content)


def spelled_out(calls: Sequence[Collective], micro_batches: int) -> list[Collective]:
    """All calls of a step, of which a plan lists one micro-batch's forward and backward."""
    places = [i for i, call in enumerate(calls) if call.phase != UPDATE]
    if not places:
        return list(calls)
    first, end = places[0], places[-1] + 1
    return [*calls[:first], *list(calls[first:end]) * micro_batches, *calls[end:]]
