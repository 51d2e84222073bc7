"""Documents of every shape to token files."""

from __future__ import annotations

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest

from hydratron.data.indexed import IndexedDataset
from hydratron.data.preparer import output
from hydratron.data.preparer.blocks import Block, Fragment, Part, Texts
from hydratron.data.preparer.output import Written, write_datasets
from hydratron.data.preparer.work import Job, Worker
from hydratron.data.tokenizer import Tokenizer, train_bpe, train_wordpiece
from tests.unit.data.conftest import sentence

TEXTS = [sentence(i) for i in range(60)]
BPE = train_bpe(TEXTS, 300)
WORDPIECE = train_wordpiece(TEXTS, 100)


def write(
    folder: Path,
    blocks: list[Block],
    tokenizer: Tokenizer = BPE,
    level: str = "document",
    append_eod: bool = True,
    names: tuple[str, ...] = ("a",),
) -> Written:
    end = tokenizer.eod if append_eod else None
    job = Job(tokenizer.to_json(), "<u2", len(names), level, end, "en")
    return write_datasets(folder, names, map(Worker(job), blocks), job)


def documents(prefix: Path) -> list[list[list[int]]]:
    dataset = IndexedDataset(prefix)
    assert dataset.dtype == np.dtype("<u2")
    starts = dataset.doc_idx.tolist()
    return [[dataset[i].tolist() for i in range(*pair)] for pair in pairwise(starts)]


def parts(text: str, *places: int) -> list[Block]:
    edges = [0, *places, len(text)]
    return [Part(Fragment(0, text[start:end], end == len(text))) for start, end in pairwise(edges)]


def test_a_document_is_its_tokens_and_an_end(tmp_path: Path) -> None:
    blocks: list[Block] = [Texts([(0, "the people"), (1, "union")]), Texts([(1, "é"), (0, "of")])]
    written = write(tmp_path, blocks, names=("a", "b"))
    assert documents(tmp_path / "a") == [
        [[*BPE.encode("the people"), BPE.eod]], [[*BPE.encode("of"), BPE.eod]]
    ]  # fmt: skip
    assert documents(tmp_path / "b") == [
        [[*BPE.encode("union"), BPE.eod]], [[*BPE.encode("é"), BPE.eod]]
    ]  # fmt: skip
    assert written.bytes == 10 + 5 + 2 + 2
    entry = written.datasets["a"]
    tokens = IndexedDataset(tmp_path / "a").tokens
    assert (entry.documents, entry.sequences, entry.tokens) == (2, 2, tokens)


def test_the_end_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, [Texts([(0, "the people")]), *parts("the people", 3)], append_eod=False)
    assert documents(tmp_path / "a") == [[BPE.encode("the people")]] * 2


def test_documents_without_a_token_are_dropped_and_counted(tmp_path: Path) -> None:
    blocks = [Texts([(0, "the"), (0, ""), (0, "\x00 ")]), *parts(" \n \n ", 2), *parts(" the", 1)]
    written = write(tmp_path, blocks, WORDPIECE)
    the = [[*WORDPIECE.encode("the"), WORDPIECE.eod]]
    assert documents(tmp_path / "a") == [the, the]
    assert written.dropped == 3
    assert written.datasets["a"].documents == 2


@pytest.mark.parametrize("append_eod", [False, True])
def test_sentences_are_sequences_of_their_document(tmp_path: Path, append_eod: bool) -> None:
    text = "The people.\n\nOf the union. \n\n\x00\n\nWe hold that."
    end = [WORDPIECE.eod] * append_eod
    sentences = [WORDPIECE.encode(s) for s in ("The people.", "Of the union.", "We hold that.")]
    expected = [*sentences[:2], sentences[2] + end]
    blocks = [
        Texts([(0, text), (0, " ")]), *parts(text, 11), *parts(text, 11, 26, 29),
        *parts(text + "\n\n ", len(text)), Texts([(0, "Liberty")]),
    ]  # fmt: skip
    written = write(tmp_path, blocks, WORDPIECE, "sentence", append_eod)
    last = [WORDPIECE.encode("Liberty") + end]
    assert documents(tmp_path / "a") == [expected] * 4 + [last]
    assert written.dropped == 1
    assert written.datasets["a"].tokens == IndexedDataset(tmp_path / "a").tokens


def test_a_document_beyond_the_format_has_several_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "LONGEST_SEQUENCE", 15)
    text = " the people of the union" * 12
    cuts = [24 * i for i in range(1, 12)]
    write(tmp_path, [*parts(text, *cuts), Texts([(0, "the")])])
    (long, short) = documents(tmp_path / "a")
    assert len(long) > 2
    assert all(len(sequence) <= 16 for sequence in long)
    assert list(chain.from_iterable(long)) == [*BPE.encode(text), BPE.eod]
    assert short == [[*BPE.encode("the"), BPE.eod]]
