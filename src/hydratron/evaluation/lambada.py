"""LAMBADA: the last word of a passage, which only the whole passage tells (paper, appendix E.2)."""

from __future__ import annotations

import numpy as np

from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation.contract import Material, Request, Scores, exp
from hydratron.evaluation.files import known_as, read_lines, refuse
from hydratron.evaluation.windows import Windows

ROWS, GPT2_TARGETS, GPT2_SINGLE, GPT2_VOCABULARY = 5_153, 6_573, 4_010, 50_257


class Lambada:
    """Strict accuracy: every token of the last word is the likeliest one after those before it.

    Lenient: the last token of it is.  The target's perplexity: exp of the mean -ln p(word).
    The word stands after the last space, as in lm-eval's lambada_openai; with `megatron_words`
    after the last white space, as in Megatron-LM: 7 of the 5,153 words follow a new line.
    """

    def stride(self, context: int) -> int:
        return context

    def read(self, request: Request, tokenizer: Tokenizer) -> Material:
        path = request.data
        if path.suffix != ".jsonl":
            refuse(path, "is not LAMBADA's file: a .jsonl with a passage under 'text' in each line")
        passages, sha256 = read_lines(path, request.key)
        pairs = [_cut(passage, request.megatron_words) for passage in passages]
        for number, (before, word) in enumerate(pairs, 1):
            if not before or not word:
                refuse(path, f"passage {number}: has no word before its last one")
        contexts = tokenizer.encode_batch([before for before, _ in pairs])
        words = tokenizer.encode_batch([f" {word}" for _, word in pairs])
        # The last token is a target only: a window reads one token less than it holds.
        room = request.context + 1
        for number, ids in enumerate(words, 1):
            if not 0 < len(ids) < room:
                refuse(path, f"passage {number}: its last word has {len(ids)} tokens")
        joined = [[*c, *w][-room:] for c, w in zip(contexts, words, strict=True)]
        sizes = np.array([len(ids) for ids in joined], dtype=np.int64)
        scored = np.array([len(word) for word in words], dtype=np.int64)
        single = int((scored == 1).sum())
        known = known_as("lambada", sha256)
        counted = (len(words), int(scored.sum()), single, tokenizer.vocab_size)
        if counted == (ROWS, GPT2_TARGETS, GPT2_SINGLE, GPT2_VOCABULARY):
            known = known or "the counts of OpenAI's file"
        cut = sum(len(c) + len(w) > room for c, w in zip(contexts, words, strict=True))
        notes = [f"{cut} passages are longer than the context and lose their start"] if cut else []
        return Material(
            windows=Windows(
                np.concatenate([np.array(ids, dtype=np.int32) for ids in joined]),
                np.cumsum(sizes) - sizes, sizes - 1, scored,
            ),
            file=request.data.name,
            sha256=sha256,
            protocol={
                "word": "after white space" if request.megatron_words else "after a space",
                "context": request.context,
                "key": request.key,
            },
            counts={
                "original_tokens": sum(len(passage.split()) for passage in passages),
                "tokens": int(sizes.sum()),
                "examples": len(words),
                "target_tokens": int(scored.sum()),
                "one_token_targets": single,
                "cut": cut,
            },
            known=known,
            notes=notes,
        )  # fmt: skip

    def metrics(self, material: Material, scores: Scores) -> dict[str, float]:
        return {
            "accuracy": float(scores.all_right.mean()),
            "accuracy_lenient": float(scores.last_right.mean()),
            "target_perplexity": exp(float(scores.losses.mean())),
        }


def _cut(passage: str, white: bool) -> tuple[str, str]:
    """What comes before the last word, and the word."""
    passage = passage.strip()
    if white:
        word = (passage.split() or [""])[-1]
        return passage[: len(passage) - len(word)].strip(), word
    before, _, word = passage.rpartition(" ")
    return before.rstrip(" "), word
