"""The sentence mapping: Megatron-LM's results, beside it where it is installed, and the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hydratron.data.samples.mapping import build_mapping
from tests.helpers.megatron import megatron

# Documents of 5, 1, 4, 0, 3 (one sentence too long) and 5 sentences (one just short enough).
SIZES = np.array([5, 3, 8, 4, 6, 9, 2, 2, 2, 2, 7, 513, 7, 512, 1, 30, 4, 4], np.int32)
DOC_IDX = np.array([0, 5, 6, 10, 10, 13, 18], np.int64)
# From build_mapping of helpers_cpp in megatron-core 0.16.1.
GOLDEN: list[tuple[dict[str, Any], int, list[list[int]]]] = [
    (
        {"epochs": 1, "seq_length": 16, "short_seq_prob": 0.1, "seed": 1234},
        0,
        [[3, 5, 13], [0, 3, 13], [6, 10, 13], [15, 18, 13], [13, 15, 13]],
    ),
    (
        {"epochs": 3, "seq_length": 24, "short_seq_prob": 0.5, "seed": 7},
        1,
        [
            *([13, 15, 21], [6, 10, 20], [6, 10, 21], [13, 15, 10], [6, 10, 21]),
            *([15, 18, 21], [15, 18, 10], [15, 18, 8], [13, 15, 21]),
        ],
    ),
    (
        {"epochs": 10, "max_samples": 20, "seq_length": 8, "short_seq_prob": 0.3, "seed": 99},
        0,
        [
            *([0, 2, 5], [13, 15, 3], [6, 10, 5], [15, 18, 5], [0, 2, 5], [0, 2, 3], [0, 2, 3]),
            *([2, 5, 5], [8, 10, 5], [6, 8, 2], [6, 10, 5], [2, 5, 2], [13, 15, 5], [13, 15, 5]),
            *([15, 18, 5], [6, 10, 5], [2, 5, 5], [13, 15, 5], [15, 18, 5], [2, 5, 2]),
            *([15, 18, 5],),
        ],
    ),
    # 1 / 0.4 = 2.5 is rounded up: a third is short.
    (
        {"epochs": 1, "seq_length": 12, "short_seq_prob": 0.4, "seed": 3},
        0,
        [[3, 5, 9], [6, 10, 5], [13, 15, 2], [0, 3, 9], [15, 18, 2]],
    ),
]


@pytest.mark.parametrize(("options", "first", "expected"), GOLDEN)
def test_golden(options: dict[str, Any], first: int, expected: list[list[int]]) -> None:
    mapping = build_mapping(SIZES, DOC_IDX[first:], **options)
    assert mapping.dtype == np.uint32
    assert mapping.tolist() == expected


def corpus(seed: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Documents of any shape, some empty, some with sentences around the longest one allowed."""
    generator = np.random.default_rng(seed)
    documents = generator.integers(0, generator.choice([4, 30]), generator.integers(1, 40))
    doc_idx = np.append(0, np.cumsum(documents)).astype(np.int64)
    sizes = generator.integers(0, generator.choice([3, 30, 60, 200]), doc_idx[-1])
    long = generator.integers(0, max(len(sizes), 1), 3)
    sizes[long[long < len(sizes)]] = generator.choice([511, 512, 513])
    return sizes.astype(np.int32), doc_idx


def test_equal_to_megatron() -> None:
    helpers = megatron("helpers_cpp")
    compared = 0
    for seed in range(300):
        sizes, doc_idx = corpus(seed)
        generator = np.random.default_rng(seed)
        first = int(generator.integers(len(doc_idx) - 1))
        part = doc_idx[first : generator.integers(first + 2, len(doc_idx) + 1)].copy()
        seq_length = int(generator.choice([5, 6, 16, 64, 128, 512]))
        options: dict[str, Any] = {
            "epochs": int(generator.integers(1, 5)),
            "max_samples": int(generator.choice([1, 5, 50, 10**6])),
            "short_seq_prob": float(generator.choice([0, 0.01, 0.1, 0.15, 0.3, 0.4, 0.5, 1])),
            "seed": int(generator.integers(0, 2**31 - 2)),
        }
        try:
            mapping = build_mapping(sizes, part, seq_length=seq_length, **options)
        except ValueError:
            continue
        compared += 1
        epochs, most, short, number = options.values()
        expected = helpers.build_mapping(
            part, sizes, epochs, most, seq_length - 3, short, number, False, 2
        )
        assert mapping.dtype == expected.dtype
        assert np.array_equal(mapping, expected), (seed, options)
    assert compared > 200


def even(documents: int, sentences: int, tokens: int) -> dict[str, Any]:
    sizes = np.full(documents * sentences, tokens, np.int32)
    return {"sizes": sizes, "doc_idx": np.arange(documents + 1) * sentences}


def test_every_sentence_is_in_one_sample_of_an_epoch() -> None:
    mapping = build_mapping(**even(200, 30, 20), seq_length=128, seed=3, epochs=1)
    rows = mapping[np.argsort(mapping[:, 0])].astype(int)
    assert rows[0, 0] == 0
    assert rows[-1, 1] == 6000
    assert np.array_equal(rows[1:, 0], rows[:-1, 1])
    assert ((rows[:, 1] - rows[:, 0]) >= 2).all()
    # None crosses the end of a document.
    assert np.array_equal(rows[:, 0] // 30, (rows[:, 1] - 1) // 30)


def test_the_share_of_short_sequences() -> None:
    mapping = build_mapping(**even(2000, 30, 60), seq_length=128, seed=3, epochs=1)
    targets = mapping[:, 2].astype(int)
    n, short = len(targets), targets[targets < 125]
    # One in 124 of the short ones has the full length.
    expected = 0.1 * 123 / 124
    assert n > 20_000
    assert abs(len(short) - n * expected) < 4 * (n * expected * (1 - expected)) ** 0.5
    assert short.min() == 2
    assert short.max() == 124
    spread = (123 * 123 - 1) / 12 / len(short)
    assert abs(short.mean() - 63) < 4 * spread**0.5


@pytest.mark.parametrize("most", [1, 10, 11, 1000])
def test_whole_epochs_until_there_are_enough(most: int) -> None:
    arrays = even(5, 4, 100)
    mapping = build_mapping(**arrays, seq_length=128, seed=1, max_samples=most, short_seq_prob=0)
    epochs = -(-most // 10)
    assert len(mapping) == 10 * epochs
    starts, counts = np.unique(mapping[:, 0], return_counts=True)
    assert starts.tolist() == list(range(0, 20, 2))
    assert (counts == epochs).all()


def test_a_range_of_documents_keeps_the_numbers_of_the_file() -> None:
    arrays = even(6, 10, 20)
    arrays["doc_idx"] = arrays["doc_idx"][2:5]
    mapping = build_mapping(**arrays, seq_length=64, seed=1, epochs=1)
    assert mapping[:, 0].min() == 20
    assert mapping[:, 1].max() == 40


def test_the_seed_decides_the_order_and_the_short_ones() -> None:
    one, again, other = (
        build_mapping(**even(50, 10, 20), seq_length=64, seed=seed, epochs=2) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_type_follows_the_number_of_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydratron.data.samples.mapping.LARGEST_SMALL", 59)
    arrays = even(6, 10, 20)
    wide = build_mapping(**arrays, seq_length=64, seed=1, epochs=1)
    monkeypatch.setattr("hydratron.data.samples.mapping.LARGEST_SMALL", 60)
    narrow = build_mapping(**arrays, seq_length=64, seed=1, epochs=1)
    assert (wide.dtype, narrow.dtype) == (np.uint64, np.uint32)
    assert np.array_equal(wide, narrow)


def test_what_cannot_be_mapped_is_refused() -> None:
    arrays = even(3, 2, 20)
    with pytest.raises(ValueError, match="seq_length=4 has no room for two sentences"):
        build_mapping(**arrays, seq_length=4, seed=1, epochs=1)
    with pytest.raises(ValueError, match="max_samples or epochs is needed"):
        build_mapping(**arrays, seq_length=64, seed=1)
    for unusable in (even(3, 1, 20), even(3, 2, 513), even(0, 2, 20)):
        with pytest.raises(ValueError, match="no document has two sentences"):
            build_mapping(**unusable, seq_length=64, seed=1, epochs=1)
