"""WikiText103: perplexity by the words of the tokenised file (paper, appendix E.1)."""

from __future__ import annotations

import math
import re

import numpy as np

from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation.contract import Material, Request, Scores, exp
from hydratron.evaluation.detokenize import detokenize
from hydratron.evaluation.files import known_as, read_text, refuse
from hydratron.evaluation.windows import over_texts

STRIDE = 32
# The paper's counts: words of the test file, and GPT-2's tokens of it without the tokenisation.
ORIGINAL_TOKENS, GPT2_TOKENS, GPT2_VOCABULARY = 245_566, 270_329, 50_257
# What WikiText writes that prose does not: a joined number or hyphen, an unknown word, a heading.
MARKS = re.compile(r" @[-,.]@ |<unk>|\n = [^=\n]+ = ?\n")


class WikiText103:
    """exp(summed loss / words of the file): every token is scored once, after up to a context.

    The first token is given, not scored.  Megatron-LM divides by one word less, and would cut a
    loss of more than 20 nats, which this does not.
    """

    def stride(self, context: int) -> int:
        return min(STRIDE, context)

    def read(self, request: Request, tokenizer: Tokenizer) -> Material:
        text, sha256 = read_text(request.data)
        if not MARKS.search(text):
            expected = (
                "is not WikiText's tokenised file: nothing of @-@, @,@, <unk> or ' = Title = '"
            )
            refuse(request.data, f"{expected}; other text: --task perplexity")
        words, plain = len(text.strip().split(" ")), detokenize(text)
        ids = np.array(tokenizer.encode(plain), dtype=np.int32)
        if len(ids) < 2:
            refuse(request.data, "has less than two tokens")
        known = known_as("wikitext103", sha256)
        counted = (words, len(ids), tokenizer.vocab_size)
        if counted == (ORIGINAL_TOKENS, GPT2_TOKENS, GPT2_VOCABULARY):
            known = known or "the paper's counts of words and tokens"
        return Material(
            windows=over_texts([ids], request.context, request.stride),
            file=request.data.name,
            sha256=sha256,
            protocol={
                "detokenizer": "wikitext, as in Megatron-LM v1.0",
                "normalised_by": "original tokens",
                "context": request.context,
                "stride": request.stride,
            },
            counts={
                "original_tokens": words,
                "tokens": len(ids),
                "original_bytes": len(plain.encode()),
            },
            known=known,
        )

    def metrics(self, material: Material, scores: Scores) -> dict[str, float]:
        total, counts = float(scores.losses.sum()), material.counts
        return {
            "perplexity": exp(total / counts["original_tokens"]),
            "token_perplexity": exp(total / material.windows.targets),
            "bits_per_byte": total / math.log(2) / counts["original_bytes"],
        }
