"""BERT samples: every rule read back from them, and the shares that come out."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter
from hydratron.data.samples.bert import BertSamples, masking_budget, truncate
from hydratron.data.samples.bert_tokens import BertTokens
from hydratron.data.samples.mapping import Mapping, build_mapping
from hydratron.errors import DataError
from tests.unit.data.samples.shares import check_share

SIZE = 30_000
FIRST = 100
# One entry in four goes on with a word.
SPECIAL = BertTokens(
    cls=1, sep=2, mask=3, pad=0, vocab_size=SIZE, continuation=np.arange(SIZE) % 4 == 3
)
WHOLE = BertTokens(cls=1, sep=2, mask=3, pad=0, vocab_size=SIZE, continuation=np.zeros(SIZE, bool))
SAMPLES = 2500


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> IndexedDataset:
    """400 documents; the tokens of each count up, so that a token tells its place."""
    generator = np.random.default_rng(5)
    prefix = tmp_path_factory.mktemp("bert") / "text_sentence"
    with IndexedDatasetWriter(prefix, np.uint16) as writer:
        for _ in range(400):
            lengths = generator.integers(3, 60, generator.integers(2, 60))
            start = FIRST + generator.integers(SIZE - FIRST - lengths.sum())
            tokens = np.arange(start, start + lengths.sum())
            writer.add_document(np.split(tokens, np.cumsum(lengths)[:-1]))
    return IndexedDataset(prefix)


def samples_of(
    dataset: IndexedDataset, seq_length: int, special: BertTokens = SPECIAL, **options: Any
) -> BertSamples:
    mapping = build_mapping(
        dataset.sizes, dataset.doc_idx, seq_length=seq_length, seed=9, max_samples=SAMPLES
    )
    return BertSamples(dataset, mapping, seq_length, special, 9, SAMPLES, **options)


@pytest.fixture(scope="module")
def made(dataset: IndexedDataset) -> dict[int, list[dict[str, Any]]]:
    return {seq_length: list(samples_of(dataset, seq_length)) for seq_length in (128, 512)}


BOTH = pytest.mark.parametrize("seq_length", [128, 512])


def original(sample: dict[str, Any]) -> npt.NDArray[np.int64]:
    """The tokens before masking, without padding."""
    restored = np.where(sample["labels"] == -1, sample["tokens"], sample["labels"])
    kept: npt.NDArray[np.int64] = restored[sample["padding_mask"] == 1]
    return kept


def parts(sample: dict[str, Any]) -> tuple[list[int], list[int]]:
    ids = original(sample).tolist()
    middle = ids.index(SPECIAL.sep)
    return ids[1:middle], ids[middle + 1 : -1]


@BOTH
def test_the_form_of_a_sample(made: dict[int, list[dict[str, Any]]], seq_length: int) -> None:
    for sample in made[seq_length]:
        assert sample.keys() == {"tokens", "types", "labels", "padding_mask", "sop"}
        for name in ("tokens", "types", "labels", "padding_mask"):
            assert sample[name].shape == (seq_length,)
            assert sample[name].dtype == np.int64
        assert sample["sop"].dtype == np.int64
        assert sample["sop"].shape == ()

        ids = original(sample)
        n = len(ids)
        assert (sample["padding_mask"][:n] == 1).all()
        assert (sample["tokens"][n:] == SPECIAL.pad).all()
        assert (sample["labels"][n:] == -1).all()
        first, second = parts(sample)
        assert [ids[0], ids[-1]] == [SPECIAL.cls, SPECIAL.sep]
        assert min(len(first), len(second)) > 0
        boundary = len(first) + 2
        assert sample["types"].tolist() == [0] * boundary + [1] * (n - boundary) + [0] * (
            seq_length - n
        )


@BOTH
def test_both_parts_are_neighbours_in_the_text(
    dataset: IndexedDataset, made: dict[int, list[dict[str, Any]]], seq_length: int
) -> None:
    samples = samples_of(dataset, seq_length)
    for i, sample in enumerate(made[seq_length]):
        first, last, target = samples.mapping[i].tolist()
        text = np.concatenate([dataset[k] for k in range(first, last)])
        a, b = parts(sample)
        assert len(a) + len(b) == min(len(text), target)
        for part in (a, b):
            assert part == list(range(part[0], part[-1] + 1))
        early, late = (b, a) if sample["sop"] else (a, b)
        assert text[0] <= early[0] <= early[-1] < late[0] <= late[-1] <= text[-1]
        if len(text) <= target:
            # The cut is at the end of a sentence.
            ends = text[0] + np.cumsum(dataset.sizes[first:last])
            assert late[0] in ends[:-1]


@BOTH
def test_half_of_the_pairs_are_swapped(
    made: dict[int, list[dict[str, Any]]], seq_length: int
) -> None:
    check_share(sum(int(sample["sop"]) for sample in made[seq_length]), SAMPLES, 0.5)


@BOTH
def test_a_tenth_of_the_targets_is_short(dataset: IndexedDataset, seq_length: int) -> None:
    targets = samples_of(dataset, seq_length).mapping[:, 2]
    longest = seq_length - 3
    share = 0.1 * (longest - 2) / (longest - 1)
    check_share(int((targets < longest).sum()), len(targets), share)


def test_the_first_part_has_any_number_of_sentences(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", np.uint16) as writer:
        writer.add_document([[100 + i] for i in range(5)])
    mapping = np.tile(np.array([[0, 5, 60]], np.uint32), (SAMPLES, 1))
    samples = BertSamples(IndexedDataset(tmp_path / "x"), mapping, 64, WHOLE, 1, SAMPLES)
    cuts = [len(parts(sample)[int(sample["sop"])]) for sample in samples]
    for cut in range(1, 5):
        check_share(cuts.count(cut), SAMPLES, 1 / 4)


@pytest.mark.parametrize(("seq_length", "budget"), [(128, 18), (512, 76)])
def test_the_masked_count(dataset: IndexedDataset, seq_length: int, budget: int) -> None:
    """76 of 507 to 512 tokens, 18 of 128; words of one piece always fill the budget."""
    whole = [s for s in samples_of(dataset, seq_length, WHOLE) if s["padding_mask"].all()]
    assert len(whole) > 1000
    assert {int((s["labels"] != -1).sum()) for s in whole} == {budget}


@pytest.mark.parametrize(
    ("length", "target", "budget"),
    [
        *((512, 509, 76), (507, 509, 76), (128, 125, 18), (60, 125, 9), (50, 47, 7)),
        *((10, 509, 2), (5, 509, 1), (10, 7, 1), (9, 6, 0), (5, 2, 0)),
    ],
)
def test_the_budget(length: int, target: int, budget: int) -> None:
    assert masking_budget(length, target, 0.15) == budget


@BOTH
def test_whole_words_within_the_budget(
    dataset: IndexedDataset, made: dict[int, list[dict[str, Any]]], seq_length: int
) -> None:
    samples = samples_of(dataset, seq_length)
    split = 0
    for i, sample in enumerate(made[seq_length]):
        ids = original(sample)
        chosen = sample["labels"][: len(ids)] != -1
        budget = masking_budget(len(ids), int(samples.mapping[i, 2]), 0.15)
        # At most one word of two pieces less than the budget, as no word has three.
        assert chosen.sum() in (budget, max(budget - 1, 0))
        assert not chosen[(ids == SPECIAL.cls) | (ids == SPECIAL.sep)].any()
        pieces = [(token, bool(c)) for token, c in zip(ids, chosen, strict=True) if token > 3]
        for (_, before), (token, here) in pairwise(pieces):
            if SPECIAL.continuation[token]:
                assert before == here
                split += here
    assert split > SAMPLES


@BOTH
def test_what_the_masked_pieces_become(
    made: dict[int, list[dict[str, Any]]], seq_length: int
) -> None:
    labels = np.concatenate([s["labels"] for s in made[seq_length]])
    read = np.concatenate([s["tokens"] for s in made[seq_length]])
    labels, read = labels[labels != -1], read[labels != -1]
    n = len(labels)
    assert n > 10 * SAMPLES
    check_share(int((read == SPECIAL.mask).sum()), n, 0.8 + 0.1 / SIZE)
    check_share(int((read == labels).sum()), n, 0.1 + 0.1 / SIZE)
    check_share(int(((read != SPECIAL.mask) & (read != labels)).sum()), n, 0.1 * (1 - 2 / SIZE))


def test_masking_can_be_changed(dataset: IndexedDataset) -> None:
    samples = samples_of(dataset, 128, WHOLE, masking_prob=0.4, max_ngram=1)
    full = next(s for s in samples if s["padding_mask"].all())
    assert (full["labels"] != -1).sum() == 50
    assert (samples_of(dataset, 128, masking_prob=0.0)[0]["labels"] == -1).all()


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_a_sample_follows_from_seed_and_number(dataset: IndexedDataset) -> None:
    samples = samples_of(dataset, 128)
    in_order = [samples[i] for i in range(50)]
    backwards = {i: samples[i] for i in reversed(range(50))}
    elsewhere = pickle.loads(pickle.dumps(samples))
    for i, sample in enumerate(in_order):
        assert same(sample, backwards[i])
        assert same(sample, elsewhere[i])
    other = BertSamples(dataset, samples.mapping, 128, SPECIAL, 10, 50)
    assert not any(same(other[i], in_order[i]) for i in range(50))


def test_the_generator_is_seeded_with_the_sum_modulo_2_32(dataset: IndexedDataset) -> None:
    mapping = np.tile(np.array([[0, 20, 125]], np.uint32), (9, 1))

    def sample(seed: int, i: int) -> dict[str, Any]:
        return BertSamples(dataset, mapping, 128, SPECIAL, seed, 9)[i]

    assert same(sample(5, 3), sample(0, 8))
    assert same(sample(2**32 - 1, 1), sample(0, 0))
    assert not same(sample(5, 3), sample(5, 4))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 90), st.integers(0, 2**32 - 1))
def test_truncation_is_one_token_at_a_time(a: int, b: int, target: int, seed: int) -> None:
    generator = np.random.RandomState(seed)
    first, second = list(range(a)), list(range(100, 100 + b))
    while len(first) + len(second) > target:
        longer = first if len(first) > len(second) else second
        del longer[0 if generator.random_sample() < 0.5 else -1]
    ranges = truncate((0, a), (100, 100 + b), target, np.random.RandomState(seed))
    assert [list(range(*part)) for part in ranges] == [first, second]


def test_truncation_takes_from_the_front_half_of_the_time() -> None:
    generator = np.random.RandomState(6)
    results = [truncate((0, 5), (9, 14), 9, generator) for _ in range(10_000)]
    assert {a for a, _ in results} == {(0, 5)}
    check_share(sum(b == (10, 14) for _, b in results), len(results), 0.5)


def test_a_token_outside_the_vocabulary_is_named(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", np.int32) as writer:
        writer.add_document([[5, 6], [7]])
        writer.add_document([[5, 6], [7, 8, SIZE, 9]])
        writer.add_document([[-1], [SIZE - 1]])
    mapping = np.array([[0, 2, 60], [2, 4, 60], [4, 6, 60]], np.uint32)
    samples = BertSamples(IndexedDataset(tmp_path / "x"), mapping, 64, SPECIAL, 1, 3)
    assert samples[0]["padding_mask"].sum() == 6
    places = {1: (SIZE, "1, sequence 3, offset 2"), 2: (-1, "2, sequence 4, offset 0")}
    for i, (token, place) in places.items():
        with pytest.raises(DataError) as caught:
            samples[i]
        message = str(caught.value)
        assert message.startswith(f"token={token}: the vocabulary has 30000 entries")
        assert message.endswith(f"{tmp_path / 'x.bin'}, document {place}")


def test_the_length(dataset: IndexedDataset) -> None:
    mapping: Mapping = np.array([[0, 2, 60]] * 3, np.uint32)
    samples = BertSamples(dataset, mapping, 64, SPECIAL, 1, 2)
    assert len(samples) == len(list(samples)) == 2
    for i in (-1, 2):
        with pytest.raises(IndexError, match=f"sample {i} of 2"):
            samples[i]
    with pytest.raises(ValueError, match="4 samples of a mapping of 3"):
        BertSamples(dataset, mapping, 64, SPECIAL, 1, 4)
