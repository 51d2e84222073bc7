"""Perplexity of any text or prepared tokens, and bits per byte, by which vocabularies compare."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed import idx_path
from hydratron.data.selection import TokenSet, find
from hydratron.data.text.cutting import no_cut
from hydratron.data.text.files import InputFile, input_sha256, kind_of
from hydratron.data.text.sources import read_pieces
from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation.contract import Material, Request, Scores, exp
from hydratron.evaluation.files import refuse
from hydratron.evaluation.windows import over_texts
from hydratron.hashing import file_sha256

EXPECTED = "a .txt, .jsonl (also .gz .xz .zst) or .parquet file, or prepared tokens"
Documents = list[npt.NDArray[np.integer]]


class TextPerplexity:
    """exp(summed loss / tokens) of documents, each by itself, after the token that ends documents.

    The windows overlap by half, so that a token sees at least half a context of its document.
    """

    def stride(self, context: int) -> int:
        return max(1, context // 2)

    def read(self, request: Request, tokenizer: Tokenizer) -> Material:
        path = request.data
        if tokenizer.eod is None:
            refuse(path, "the checkpoint's tokenizer has no token that ends a document")
        if path.is_dir() or idx_path(path.with_suffix("")).is_file() or idx_path(path).is_file():
            documents, size, words, sha256 = _prepared(path, tokenizer)
        else:
            documents, size, words, sha256 = _text(path, request.key, tokenizer)
        documents = [ids for ids in documents if len(ids)]
        if not documents:
            refuse(path, "is empty")
        begin = np.array([tokenizer.eod], dtype=np.int32)
        return Material(
            windows=over_texts(
                [np.concatenate([begin, ids]) for ids in documents], request.context, request.stride
            ),
            file=request.data.name,
            sha256=sha256,
            protocol={
                "documents": "each by itself",
                "normalised_by": "tokens",
                "context": request.context,
                "stride": request.stride,
                "key": request.key,
            },
            counts={
                "original_tokens": words,
                "tokens": sum(map(len, documents)),
                "original_bytes": size,
                "documents": len(documents),
            },
        )

    def metrics(self, material: Material, scores: Scores) -> dict[str, float]:
        total, counts = float(scores.losses.sum()), material.counts
        return {
            "perplexity": exp(total / counts["tokens"]),
            "word_perplexity": exp(total / max(counts["original_tokens"], 1)),
            "bits_per_byte": total / math.log(2) / counts["original_bytes"],
        }


def _text(path: Path, key: str, tokenizer: Tokenizer) -> tuple[Documents, int, int, str]:
    """Tokens of the documents; bytes and words of their text; the file's hash."""
    if not path.is_file():
        refuse(path, f"is no such file; expected {EXPECTED}")
    if not kind_of(path):
        refuse(path, f"is not {EXPECTED}")
    texts, waiting = [], ""
    for piece in read_pieces(InputFile(path.name, path), key, lambda count: None, no_cut):
        waiting += piece.text
        if piece.ends:
            texts.append(waiting)
            waiting = ""
    texts += [waiting] if waiting else []
    documents: Documents = [np.array(ids, np.int32) for ids in tokenizer.encode_batch(texts)]
    size, words = sum(len(text.encode()) for text in texts), sum(len(t.split()) for t in texts)
    return documents, size, words, input_sha256(path, lambda count: None)


def _prepared(path: Path, tokenizer: Tokenizer) -> tuple[Documents, int, int, str]:
    """The same of token files, whose text is what their tokens stand for."""
    found = find(str(path), "--data")
    _check(found, path, tokenizer)
    documents: Documents = [_without_end(ids, tokenizer.eod) for ids in found.dataset]
    largest = max((int(ids.max()) for ids in documents if len(ids)), default=0)
    if largest >= tokenizer.vocab_size:
        expected = f"holds token {largest}, but the checkpoint's tokenizer has"
        refuse(path, f"{expected} {tokenizer.vocab_size} entries")
    texts = [tokenizer.decode(ids.tolist()) for ids in documents]
    size, words = sum(len(text.encode()) for text in texts), sum(len(t.split()) for t in texts)
    return documents, size, words, file_sha256(found.prefix.with_name(f"{found.prefix.name}.bin"))


def _check(found: TokenSet, path: Path, tokenizer: Tokenizer) -> None:
    if found.manifest is None:
        return
    made_by, size = found.manifest.tokenizer["sha256"], found.manifest.vocab_size
    if size != tokenizer.vocab_size:
        expected = f"was made by a tokenizer of {size} entries, the checkpoint's has"
        refuse(path, f"{expected} {tokenizer.vocab_size}")
    if made_by != tokenizer.sha256:
        mine = tokenizer.sha256[:12]
        refuse(
            path, f"was made by another tokenizer ({made_by[:12]}) than the checkpoint's ({mine})"
        )


def _without_end(ids: npt.NDArray[np.integer], end: int | None) -> npt.NDArray[np.int32]:
    """The tokens of a document's text."""
    text = ids.astype(np.int32)
    return text[:-1] if len(text) and text[-1] == end else text
