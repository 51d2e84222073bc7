"""The other side of a comparison, where it is transformers: what it computes and tokenises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hydratron.errors import HydratronError
from hydratron.interop.comparison import TEXTS, Batch, Outputs
from hydratron.interop.huggingface import loaded, transformers
from hydratron.interop.model import Model
from hydratron.tasks.table import PRETRAIN


def outputs(folder: Path, model: Model, whole: bool) -> Callable[[Batch, torch.dtype], Outputs]:
    """What transformers computes from the folder that is `model`; `whole` as in `loaded`."""

    def compute(texts: Batch, dtype: torch.dtype) -> Outputs:
        network = loaded(folder, model, whole).to(dtype)
        seen, real = texts.mask.bool(), model.vocab_size
        inputs: dict[str, Any] = {"input_ids": texts.tokens, "attention_mask": texts.mask}
        if model.options.architecture == "gpt":
            return {"logits": network(**inputs).logits[seen][:, :real]}
        inputs["token_type_ids"] = texts.types
        if model.task != PRETRAIN:
            hidden = network.bert(**inputs).last_hidden_state
            return {"hidden": hidden[seen], "answers": _answers(network, inputs, model, seen)}
        said = network(**inputs, output_hidden_states=True)
        found: dict[str, Tensor] = {}
        hidden = getattr(said, "last_hidden_state", None)
        # MegatronBert's list of hidden states ends before the last LayerNorm in some versions.
        trunk = getattr(network, "bert", None)
        if hidden is None and trunk is not None:
            hidden = trunk(**inputs).last_hidden_state
        assert hidden is not None
        found["hidden"] = hidden[seen]
        words = getattr(said, "prediction_logits", getattr(said, "logits", None))
        if words is not None:
            found["logits"] = words[seen][:, :real]
        if (order := getattr(said, "seq_relationship_logits", None)) is not None:
            found["order"] = order
        if (pooled := getattr(said, "pooler_output", None)) is not None:
            found["pooled"] = pooled
        return found

    return compute


def _answers(network: Any, inputs: dict[str, Any], model: Model, seen: Tensor) -> Tensor:
    """What a fine-tuned model says, as `comparison.ours` has it."""
    if "span_head" in model.heads:
        said = network(**inputs)
        return torch.stack([said.start_logits, said.end_logits], dim=-1)[seen]
    if "multichoice_head" in model.heads:
        inputs = {name: tensor.unsqueeze(1) for name, tensor in inputs.items()}  # One option.
    logits: Tensor = network(**inputs).logits
    return logits


def same_tokens(folder: Path, model: Model) -> None:
    """Raise HydratronError where the folder's tokenizer gives other ids than ours for a text."""
    tokenizer = transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in TEXTS:
        theirs = tokenizer(text, add_special_tokens=False)["input_ids"]
        if list(theirs) != model.tokenizer.encode(text):
            said = f"transformers tokenises {text[:30]!r}... to other ids"
            raise HydratronError(f"{folder}: {said}; nothing kept")
