"""The samples of megatron-core's own GPTDataset over our token files are ours, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter
from hydratron.data.samples.gpt import GPTSamples, build_sample_index
from hydratron.data.samples.split import split_bounds
from tests.helpers.megatron import megatron

VOCABULARY, EOD = 1000, 999


class Tokenizer:
    """What GPTDataset asks of one."""

    unique_identifiers: ClassVar[dict[str, Any]] = {"class": "Tokenizer"}
    # Its padding is replaced by 0: one that no document has.
    eod, pad, vocab_size = EOD, VOCABULARY, VOCABULARY


def their_samples(prefix: Path, documents: range, s: int, n: int, seed: int) -> list[list[int]]:
    gpt = megatron("gpt_dataset")
    config = gpt.GPTDatasetConfig(
        random_seed=seed,
        sequence_length=s,
        blend=([str(prefix)], None),
        split="969,30,1",
        path_to_cache=str(prefix.parent / f"cache{seed}"),
        tokenizer=Tokenizer(),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
    )
    dataset = gpt.GPTDataset(
        megatron("indexed_dataset").IndexedDataset(str(prefix)),
        str(prefix),
        np.arange(documents.start, documents.stop, dtype=np.int32),
        n,
        megatron("utils").Split.train,
        config,
    )
    found = []
    for i in range(n):
        item = dataset[i]
        found.append([*item["tokens"].tolist(), int(item["labels"][-1])])
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_order_is_megatrons(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    prefix = tmp_path / "x"
    with IndexedDatasetWriter(prefix, "u2") as writer:
        for size in random.integers(1, 30, 40):
            writer.add_document([random.integers(0, VOCABULARY, size)])
    dataset = IndexedDataset(prefix)
    s = int(random.integers(3, 40))
    _, last, *_ = split_bounds("90/5/5", 40)
    first = int(random.integers(0, 5))
    sizes = dataset.sizes[first:last]
    one = (int(sizes.sum()) - 1) // s
    # One epoch, a last epoch that is used little, and one that is used nearly whole.
    for n in (one, one + 1 + one // 3, 3 * one - 1):
        index = build_sample_index(sizes, s, n, seed)
        ours = GPTSamples(dataset, first, index, n, VOCABULARY)
        assert their_samples(prefix, range(first, last), s, n, seed) == [
            sample.tolist() for sample in ours
        ]


@pytest.mark.parametrize("split", ["969,30,1", "949,50,1", "90,5,5", "1,1,1", "33,33,34"])
@pytest.mark.parametrize("documents", [3, 10, 37, 1000, 99999])
def test_the_split_is_megatrons(split: str, documents: int) -> None:
    from hydratron.config.data_rules import shares

    blended = megatron("blended_megatron_dataset_config")
    parsed = blended.parse_and_normalize_split(split)
    assert parsed == pytest.approx(shares(split))
    train, validation, test = blended.convert_split_vector_to_split_matrix(parsed)
    assert validation is not None
    assert test is not None
    # megatron-core rounds the cumulated shares; 2.6, whose rule ours is, rounds each share.
    bounds = split_bounds(split, documents)
    for ours, theirs in zip(bounds[1:3], (train[1], validation[1]), strict=True):
        assert abs(ours - theirs * documents) <= 1.5
