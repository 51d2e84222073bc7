"""The samples of a run: every part, blended, the same whoever asks, and gone on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.config.load import from_dict
from hydratron.data.corpus import Corpus, Part, open_corpus
from hydratron.data.samples.assemble import (
    Samples,
    bert_samples,
    continuation_seed,
    continued,
    gpt_samples,
    training_samples,
    validation_samples,
)
from hydratron.data.samples.gpt import GPTSamples, build_sample_index
from hydratron.errors import DataError
from tests.helpers.prepared import prepared_folder

LENGTH = 8


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Training tokens 0 to 299 in 30 documents, validation 300 to 399."""
    train = [[range(10 * i, 10 * i + 10)] for i in range(30)]
    validation = [[range(300 + 10 * i, 310 + 10 * i)] for i in range(10)]
    folder = prepared_folder(
        tmp_path / "data", {"train": train, "validation": validation}, vocab_size=512
    )
    return open_corpus(folder)


def rows(samples: Samples) -> list[list[int]]:
    return [samples[i].tolist() for i in range(len(samples))]


def test_they_are_those_of_the_index(corpus: Corpus) -> None:
    (part,) = corpus.splits["train"]
    index = build_sample_index(part.dataset.sizes, LENGTH, 50, seed=3)
    expected = GPTSamples(part.dataset, 0, index, 50, 512)
    assert rows(training_samples(gpt_samples, corpus, LENGTH, [50], seed=3)) == rows(expected)
    # The second time they come from disk.
    assert rows(training_samples(gpt_samples, corpus, LENGTH, [50], seed=3)) == rows(expected)
    assert rows(training_samples(gpt_samples, corpus, LENGTH, [50], seed=4)) != rows(expected)


def test_a_changed_source_has_another_order(corpus: Corpus, tmp_path: Path) -> None:
    training_samples(gpt_samples, corpus, LENGTH, [20], seed=3)
    other = [[range(8 * i, 8 * i + 8)] for i in range(30)]
    folder = prepared_folder(tmp_path / "b", {"train": other, "validation": other}, vocab_size=512)
    (corpus.path / "index").rename(folder / "index")
    changed = training_samples(gpt_samples, open_corpus(folder), LENGTH, [20], seed=3)
    (part,) = open_corpus(folder).splits["train"]
    index = build_sample_index(part.dataset.sizes, LENGTH, 20, seed=3)
    assert rows(changed) == rows(GPTSamples(part.dataset, 0, index, 20, 512))


def with_parts(corpus: Corpus, bounds: Sequence[tuple[int, int, float]]) -> Corpus:
    (whole,) = corpus.splits["train"]
    parts = tuple(replace(whole, first=a, last=b, weight=weight) for a, b, weight in bounds)
    return replace(corpus, splits={"train": parts, "validation": parts})


def test_a_part_reads_its_own_documents_alone(corpus: Corpus) -> None:
    part = with_parts(corpus, [(10, 13, 1.0)])
    samples = training_samples(gpt_samples, part, LENGTH, [9], seed=1)
    # Three documents of ten tokens, over three epochs.
    assert set(np.concatenate(rows(samples)).tolist()) == set(range(100, 130))


def test_a_blend_takes_its_shares_from_each_part(corpus: Corpus) -> None:
    blend = with_parts(corpus, [(0, 10, 0.7), (10, 30, 0.3)])
    samples = rows(training_samples(gpt_samples, blend, LENGTH, [10], seed=1))
    assert [int(sample[0] >= 100) for sample in samples] == [0, 1, 0, 0, 1, 0, 0, 1, 0, 0]
    # Each part is read in its own order, from its beginning on.
    first = training_samples(gpt_samples, with_parts(corpus, [(0, 10, 1.0)]), LENGTH, [8], seed=1)
    assert [s for s in samples if s[0] < 100] == rows(first)[:7]


def test_validation_is_one_order_for_all(corpus: Corpus) -> None:
    few, many = (rows(validation_samples(gpt_samples, corpus, LENGTH, n)) for n in (3, 12))
    assert few == many[:3]
    assert min(min(sample) for sample in many) >= 300
    assert len({tuple(sample) for sample in many}) == 12


def test_a_longer_run_goes_on_with_its_order(corpus: Corpus) -> None:
    short = rows(training_samples(gpt_samples, corpus, LENGTH, [50], seed=3))
    longer = rows(training_samples(gpt_samples, corpus, LENGTH, [50, 90, 91], seed=3))
    assert len(longer) == 91
    assert longer[:50] == short
    seed = continuation_seed(3, 1)
    assert longer[50:90] == rows(training_samples(gpt_samples, corpus, LENGTH, [40], seed))
    # The rule alone would have shuffled it anew.
    assert rows(training_samples(gpt_samples, corpus, LENGTH, [91], seed=3))[:50] != short


def test_an_index_out_of_range_is_an_error(corpus: Corpus) -> None:
    samples = training_samples(gpt_samples, corpus, LENGTH, [5, 9], seed=3)
    for i in (-1, 9):
        with pytest.raises(IndexError, match="of 9"):
            samples[i]


@given(
    ends=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(np.cumsum),
    total=st.integers(1, 40),
)
def test_ends_grow_with_the_run(ends: np.ndarray, total: int) -> None:
    after = continued(ends.tolist(), total)
    assert after[: len(ends)] == ends.tolist()
    assert after[-1] == max(total, ends[-1])
    assert sorted(set(after)) == after


def test_a_token_that_the_vocabulary_lacks_is_found(corpus: Corpus) -> None:
    (part,) = corpus.splits["train"]
    path = corpus.path / "train.bin"
    content = bytearray(path.read_bytes())
    content[2 * 123 : 2 * 124] = (600).to_bytes(2, "little")
    path.write_bytes(content)
    fresh = replace(corpus, splits={"train": (Part(open_train(corpus), 0, 30, 1.0, False),)})
    samples = training_samples(gpt_samples, fresh, LENGTH, [37], seed=1)
    with pytest.raises(DataError) as caught:
        rows(samples)
    assert str(caught.value) == (
        f"token=600: the vocabulary has 512 entries; {path}, document 12, sequence 12, offset 3"
    )
    assert part.tokens == 300


def open_train(corpus: Corpus):  # type: ignore[no-untyped-def]
    from hydratron.data.indexed import IndexedDataset

    return IndexedDataset(corpus.path / "train")


@pytest.mark.fault(30)
@pytest.mark.parametrize(
    ("dtype", "value"), [("i1", -1), ("<i4", -1), ("<i4", 70000), ("<u2", 65535)]
)
def test_negative_and_huge_tokens_are_found(tmp_path: Path, dtype: str, value: int) -> None:
    from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter

    with IndexedDatasetWriter(tmp_path / "x", dtype) as writer:
        writer.add_document([[1, 2, 3, value, 5]])
    dataset = IndexedDataset(tmp_path / "x")
    index = build_sample_index(dataset.sizes, 2, 2, seed=1)
    samples = GPTSamples(dataset, 0, index, 2, vocab_size=1000)
    with pytest.raises(
        DataError, match=f"token={value}: the vocabulary has 1000 entries.*offset 3"
    ):
        list(samples)


WORDPIECE = {
    "model": {
        "type": "WordPiece",
        "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
        | {f"w{i}": i for i in range(5, 300)},
    }
}


def test_sentences_give_bert_samples_of_their_own_documents(tmp_path: Path) -> None:
    # Document i has three sentences of the token 10 + i.
    documents = [[[10 + i] * 6] * 3 for i in range(30)]
    folder = prepared_folder(
        tmp_path / "s",
        {"train": documents, "validation": documents},
        300,
        level="sentence",
        tokenizer=json.dumps(WORDPIECE),
    )
    corpus = open_corpus(folder)
    whole = corpus.splits["train"][0]
    part = replace(whole, first=5, last=9)
    corpus = replace(corpus, splits={"train": (part,), "validation": (whole,)})
    samples = training_samples(bert_samples, corpus, 24, [40], seed=1)
    for _ in range(2):  # The second time the pairs come from disk.
        drawn = [samples[i] for i in range(40)]
        seen = {int(label) for sample in drawn for label in sample["labels"] if label >= 0}
        assert seen == {15, 16, 17, 18}
        samples = training_samples(bert_samples, corpus, 24, [40], seed=1)
    assert {int(sample["sop"]) for sample in drawn} == {0, 1}
    assert len(validation_samples(bert_samples, corpus, 24, 7)) == 7


def _predicted(tmp_path: Path, **data: float) -> npt.NDArray[np.bool_]:
    """Which places of 20 samples of a BERT's job are predicted, [20, 64]."""
    documents = [[[10 + i] * 30] * 3 for i in range(30)]
    splits = {"train": documents, "validation": documents}
    folder = tmp_path / "s"
    if not folder.exists():
        prepared_folder(folder, splits, 300, level="sentence", tokenizer=json.dumps(WORDPIECE))
    read = from_dict({"model": {"architecture": "bert"}, "data": data}).reader
    samples = training_samples(read, open_corpus(folder), 64, [20], seed=1)
    return np.stack([samples[i]["labels"] >= 0 for i in range(20)])


def test_a_job_reads_the_share_of_masked_tokens_that_it_names(tmp_path: Path) -> None:
    def masked(prob: float) -> int:
        return int(_predicted(tmp_path, masking_prob=prob).sum())

    assert masked(0.4) == pytest.approx(2 * masked(0.2), rel=0.1)


def test_a_job_predicts_words_in_a_row_as_it_names(tmp_path: Path) -> None:
    def neighbours(max_ngram: int) -> int:
        predicted = _predicted(tmp_path, max_ngram=max_ngram)
        return int((predicted[:, 1:] & predicted[:, :-1]).sum())

    assert neighbours(6) > 1.5 * neighbours(1)


def test_documents_without_pairs_are_refused(tmp_path: Path) -> None:
    documents = [[[10] * 6]] * 4
    folder = prepared_folder(
        tmp_path / "s", {"train": documents, "validation": documents}, 300, level="sentence"
    )
    with pytest.raises(DataError, match="no document has two sentences"):
        training_samples(bert_samples, open_corpus(folder), 24, [4], seed=1)
