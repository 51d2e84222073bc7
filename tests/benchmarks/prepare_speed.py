"""`hydratron prepare` against a pool that encodes one document per call, as Megatron-LM does.

`python -m tests.benchmarks.prepare_speed CORPUS [--megabytes 24] [--workers 1 2]`: both read the
same .jsonl file of the first documents, with the same tokenizer and as many workers, in turns in
one run; each time is of the whole work, the start of the processes included.  Prints the medians,
and writes every time with its provenance to `--output`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hydratron.data.indexed import IndexedDatasetWriter, bin_path, idx_path, token_dtype
from hydratron.data.manifest import DOCUMENT
from hydratron.data.preparer.command import Request, prepare_files
from hydratron.data.preparer.pool import usable_cores
from hydratron.data.text.files import InputFile
from hydratron.data.text.sources import read_pieces
from hydratron.data.tokenizer import Tokenizer, open_gpt2, train_bpe
from hydratron.job import write_json
from hydratron.launch.provenance import code

VOCAB_SIZE = 8192
TRAINING_CHARACTERS = 8_000_000
CHUNK = 32  # lines that a process of the pool takes at once
NAME = "text_document"


def main() -> None:
    args = _arguments()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, tokenizer = folder / "corpus.jsonl", folder / "tokenizer.json"
        texts = list(_texts(args.corpus, args.megabytes * 1e6))
        corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        made = open_gpt2(args.gpt2) if args.gpt2 else _trained(texts)
        made.save(tokenizer)
        results = {
            workers: _measure(corpus, tokenizer, workers, args.rounds, folder)
            for workers in args.workers
        }
        size = corpus.stat().st_size / 1e6
    rows = [_row(workers, *times, size) for workers, times in results.items()]
    print(f"{size:.1f} MB, {len(texts)} documents, {made.vocab_size} entries, {args.rounds} rounds")
    print("workers  one document per call  hydratron prepare  ratio")
    for row in rows:
        print(
            f"{row['workers']:7}  {row['pool_mb_per_s']:16.2f} MB/s"
            f"  {row['ours_mb_per_s']:12.2f} MB/s  {row['ratio']:5.2f}"
        )
    content = {"corpus": str(args.corpus.name), "megabytes": size, "vocab_size": made.vocab_size}
    write_json(args.output, content | {"results": rows, "cores": usable_cores()} | code())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("corpus", type=Path, help="any input of `hydratron prepare`, one file")
    parser.add_argument("--megabytes", type=float, default=24, help="how much of it is used")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpt2", help="folder of GPT-2's files; default: BPE trained on a part")
    parser.add_argument("--output", type=Path, default=Path("outputs/prepare_speed.json"))
    return parser.parse_args()


def _texts(path: Path, size: float) -> Iterator[str]:
    for piece in read_pieces(InputFile(path.name, path), "text", lambda _: None, _whole):
        if size <= 0:
            return
        size -= len(piece.text.encode())
        yield piece.text


def _whole(text: str, start: int) -> int:
    return len(text)


def _trained(texts: list[str]) -> Tokenizer:
    text = "\n".join(texts)[:TRAINING_CHARACTERS]
    return train_bpe([text[i : i + 10_000] for i in range(0, len(text), 10_000)], VOCAB_SIZE)


def _measure(
    corpus: Path, tokenizer: Path, workers: int, rounds: int, folder: Path
) -> tuple[list[float], list[float]]:
    """Seconds of each round: the pool's, and ours."""
    theirs, ours = [], []
    for i in range(rounds):
        pair, output = folder / f"pool_{workers}_{i}", folder / f"ours_{workers}_{i}"
        begin = time.perf_counter()
        _one_document_per_call(corpus, tokenizer, workers, pair)
        middle = time.perf_counter()
        _prepare(corpus, tokenizer, workers, output)
        theirs.append(middle - begin)
        ours.append(time.perf_counter() - middle)
        for file in (bin_path, idx_path):
            assert file(pair).read_bytes() == file(output / NAME).read_bytes()
    return theirs, ours


def _prepare(corpus: Path, tokenizer: Path, workers: int, output: Path) -> None:
    request = Request(
        inputs=[str(corpus)],
        output=output,
        tokenizer=str(tokenizer),
        end=None,
        vocab_size=VOCAB_SIZE,
        keys=["text"],
        level=DOCUMENT,
        append_eod=True,
        language="en",
        workers=workers,
        force=False,
    )
    prepare_files(request, progress=False)


# What each process of the pool keeps between its calls.
_tokenizer: Tokenizer


def _start(path: Path) -> None:
    global _tokenizer
    _tokenizer = Tokenizer.load(path)


def _encode(line: str) -> list[int]:
    text = json.loads(line)["text"]
    ids: list[int] = _tokenizer._inner.encode(text, add_special_tokens=False).ids
    assert _tokenizer.eod is not None
    return [*ids, _tokenizer.eod]


def _one_document_per_call(corpus: Path, tokenizer: Path, workers: int, prefix: Path) -> None:
    dtype = token_dtype(Tokenizer.load(tokenizer).vocab_size)
    with (
        multiprocessing.Pool(workers, _start, (tokenizer,)) as pool,
        corpus.open(encoding="utf-8") as lines,
        IndexedDatasetWriter(prefix, dtype) as writer,
    ):
        for ids in pool.imap(_encode, lines, CHUNK):
            writer.add_document([ids])


def _row(workers: int, theirs: list[float], ours: list[float], size: float) -> dict[str, object]:
    pool, own = statistics.median(theirs), statistics.median(ours)
    return {
        "workers": workers,
        "pool_mb_per_s": size / pool,
        "ours_mb_per_s": size / own,
        "ratio": pool / own,
        "pool_seconds": theirs,
        "ours_seconds": ours,
    }


if __name__ == "__main__":
    main()
