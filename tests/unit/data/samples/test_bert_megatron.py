"""Our BERT samples beside those of megatron-core: the same pairs, and as many masked pieces.

Which pieces are masked differs, since the order of its draws is not part of the rules we follow.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter
from hydratron.data.samples.bert import BertSamples
from hydratron.data.samples.bert_tokens import BertTokens
from hydratron.data.samples.mapping import build_mapping
from tests.helpers.megatron import megatron

SIZE, SEQ_LENGTH, SEED, SAMPLES = 30_000, 128, 77, 500
SPECIAL = BertTokens(1, 2, 3, 0, SIZE, np.arange(SIZE) % 5 == 4)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    with IndexedDatasetWriter(tmp_path / "x", np.uint16) as writer:
        for _ in range(200):
            lengths = generator.integers(3, 60, generator.integers(1, 20))
            writer.add_document([generator.integers(10, SIZE, length) for length in lengths])
    return tmp_path / "x"


@pytest.fixture
def theirs(prefix: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bert, indexed, utils = map(megatron, ("bert_dataset", "indexed_dataset", "utils"))
        distributed = pytest.importorskip("torch.distributed")
        # It builds its index on rank 0 of a process group only.
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        try:
            names = {i: f"##{i}" if SPECIAL.continuation[i] else str(i) for i in range(SIZE)}
            special = {name: getattr(SPECIAL, name) for name in ("cls", "sep", "mask", "pad")}
            config = bert.BERTMaskedWordPieceDatasetConfig(
                random_seed=SEED,
                sequence_length=SEQ_LENGTH,
                split="1,0,0",
                blend=([str(prefix)], None),
                tokenizer=SimpleNamespace(
                    **special, inv_vocab=names, vocab_size=SIZE, unique_identifiers={}
                ),
                masking_probability=0.15,
                short_sequence_probability=0.1,
                masking_max_ngram=3,
                masking_do_full_word=True,
                masking_do_permutation=False,
                masking_use_longer_ngrams=False,
                masking_use_geometric_distribution=False,
                classification_head=True,
                path_to_cache=str(prefix.parent / "cache"),
            )
            data = indexed.IndexedDataset(str(prefix))
            documents = np.arange(len(data.document_indices) - 1, dtype=np.int32)
            yield bert.BERTMaskedWordPieceDataset(
                data, str(prefix), documents, SAMPLES, utils.Split.train, config
            )
        finally:
            distributed.destroy_process_group()


def test_the_same_pairs(theirs: Any, prefix: Path) -> None:
    dataset = IndexedDataset(prefix)
    mapping = build_mapping(
        dataset.sizes, dataset.doc_idx, seq_length=SEQ_LENGTH, seed=SEED, max_samples=SAMPLES
    )
    ours = BertSamples(dataset, mapping, SEQ_LENGTH, SPECIAL, SEED, SAMPLES)
    assert len(theirs) == len(mapping)
    counts = []
    for i in range(SAMPLES):
        their, our = theirs[i], ours[i]
        masked, chosen = their["loss_mask"] == 1, our["labels"] != -1
        assert np.array_equal(
            np.where(masked, their["labels"], their["text"]),
            np.where(chosen, our["labels"], our["tokens"]),
        )
        assert np.array_equal(their["types"], our["types"])
        assert np.array_equal(their["padding_mask"], our["padding_mask"])
        assert their["is_random"] == our["sop"]
        counts.append((masked.sum(), chosen.sum()))
    # A word of two pieces may not fit at the end, which depends on the draws.
    difference = np.subtract(*np.array(counts).T)
    assert abs(difference).max() <= 1
    assert abs(difference.mean()) < 4 * difference.std() / SAMPLES**0.5 + 1e-9
