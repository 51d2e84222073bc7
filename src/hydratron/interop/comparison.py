"""Both sides of a conversion on real text: what they compute must agree, or it is refused.

Both compute in fp64, so that rounding is 1e-12 and what a conversion gets wrong, an eps of 1e-12
for one of 1e-5 or one GeLU for the other, is a million times that.  Large models compute in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hydratron.data.samples.bert_tokens import CLS, PAD, SEP
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import HydratronError
from hydratron.interop.model import Model
from hydratron.tasks.table import PRETRAIN

# The Gettysburg Address, 1863 (public domain), with what tokenizers disagree about.
TEXTS = (
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, "
    "conceived in Liberty, and dedicated to the proposition that all men are created equal.",
    "Now we are engaged in a great civil war, testing whether that nation, or any nation so "
    "conceived and so dedicated, can long endure. We are met on a great battle-field of that war.",
    "It's 1863: don't forget!  The world will little note, nor long remember what we say here\n"
    "\n\tbut it can never forget what they did here. Café, naïve, 10,000 <|endoftext|> [SEP].",
)
MOST_TOKENS = 512
# Above so many parameters, fp64 would need more memory than the model itself.
LARGE = 1_000_000_000
# Relative to the largest value: fp64, fp32, and where eps / scale^2 is not expressible (deepnorm).
CLOSE, CLOSE_IN_FP32, CLOSE_IF_SCALED = 1e-8, 2e-5, 2e-5
# Outputs by name: `hidden` [n, h], `logits` [n, raw vocabulary], `order` [b, 2], of real tokens;
# of a fine-tuned model `answers`, [b, classes] or [n, 2].
Outputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Two or three texts as both sides see them, int64 [b, s]; `mask` is 0 for padding."""

    tokens: Tensor
    types: Tensor
    mask: Tensor


def batch(model: Model) -> Batch:
    """The texts, cut to the model's positions; a BERT's have [CLS], [SEP] and two segments."""
    tokenizer, most = model.tokenizer, min(model.options.seq_length, MOST_TOKENS)
    encoded = tokenizer.encode_batch(TEXTS)
    types = [[0] * len(ids) for ids in encoded]
    pad = 0
    if model.options.architecture == "bert":
        pad, cls, sep = (_id(tokenizer, name) for name in (PAD, CLS, SEP))
        halves = [len(ids) // 2 for ids in encoded]
        types = [
            [0] * (half + 2) + [1] * (len(ids) - half + 1)
            for ids, half in zip(encoded, halves, strict=True)
        ]
        encoded = [
            [cls, *ids[:half], sep, *ids[half:], sep]
            for ids, half in zip(encoded, halves, strict=True)
        ]
    longest = min(most, max(map(len, encoded)))

    def rows(values: list[list[int]], fill: int) -> Tensor:
        cut = [row[:longest] + [fill] * (longest - len(row)) for row in values]
        return torch.tensor(cut)

    mask = rows([[1] * len(ids) for ids in encoded], 0)
    return Batch(rows(encoded, pad), rows(types, 0), mask)


def compare(
    model: Model, theirs: Callable[[Batch, torch.dtype], Outputs], where: str, scaled: bool = False
) -> float:
    """The largest difference of our network from `theirs`, relative to the largest value.

    Raises HydratronError where it is more than rounding explains.
    """
    texts = batch(model)
    parameters = sum(tensor.numel() for tensor in model.tensors.values())
    dtype = torch.float32 if parameters > LARGE else torch.float64
    limit = CLOSE_IF_SCALED if scaled else CLOSE if dtype == torch.float64 else CLOSE_IN_FP32
    with torch.inference_mode():
        mine = ours(model, texts, dtype)
        others = theirs(texts, dtype)
    worst = 0.0
    for name, value in mine.items():
        other = others[name]
        found = float((value - other).abs().max() / other.abs().max().clamp(min=1e-30))
        if not found <= limit:  # A NaN is no agreement either.
            said = f"{name} of both sides differ by {found:.2g} of the largest on real text"
            raise HydratronError(f"{where}: {said}, at most {limit:.0e} is rounding; nothing kept")
        worst = max(worst, found)
    return worst


def ours(model: Model, texts: Batch, dtype: torch.dtype) -> dict[str, Tensor]:
    """What our network makes of the texts."""
    network, real, seen = model.network().to(dtype), model.vocab_size, texts.mask.bool()
    if model.options.architecture == "gpt":
        return {"logits": network.logits(texts.tokens)[seen][:, :real]}  # type: ignore[operator]
    inputs = texts.tokens, texts.types, texts.mask
    found = {"hidden": network(*inputs)[seen]}
    if model.task != PRETRAIN:
        said = network.logits(*inputs)  # type: ignore[operator]
        return found | {"answers": said[seen] if "span_head" in model.heads else said}
    words, order = network.logits(*inputs)  # type: ignore[operator]
    if "lm_head" in model.heads:
        found["logits"] = words[seen][:, :real]
    if "binary_head" in model.heads:
        found["order"] = order
    elif "pooler" in model.heads:
        hidden = network(*inputs)[:, 0]
        found["pooled"] = torch.tanh(network.pooler(hidden))  # type: ignore[operator]
    return found


def _id(tokenizer: Tokenizer, name: str) -> int:
    found = tokenizer.token_id(name)
    if found is None:
        raise HydratronError(f"the tokenizer has no {name}, which a BERT needs")
    return found
