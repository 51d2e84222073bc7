"""The loader: order, waiting, and workers that read ahead, fail and die."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter
from hydratron.data.samples.bert import BertSamples
from hydratron.data.samples.bert_tokens import BertTokens
from hydratron.data.samples.mapping import build_mapping
from hydratron.errors import DataError, JobError, Problem
from hydratron.tasks.causal import Causal
from hydratron.tasks.labelled import Sentiment
from hydratron.tasks.masked import Masked
from hydratron.training.batches import Loader, dead_workers_named

STEPS = [[[0, 1], [5, 3]], [[2, 4], [1, 1]]]


@pytest.fixture(autouse=True)
def _fork_beside_threads() -> Iterator[None]:
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads, which these workers never touch.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*")
        yield


class Counting:
    """Sample i is [i, i + 1, i + 2]; `act` happens when sample 5 is read."""

    def __init__(self, act: str = "") -> None:
        self.act = act

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> np.ndarray:
        if i == 5 and self.act == "refuse":
            raise DataError([Problem("token", 9, "the vocabulary has 3 entries")])
        if i == 5 and self.act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.act == "handlers":
            ignored = [signal.getsignal(n) is signal.SIG_IGN for n in (2, 15)]
            return np.array(ignored, dtype=np.int64)
        return np.arange(i, i + 3)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_steps_come_in_their_order(workers: int) -> None:
    loader = Loader(Counting(), STEPS, Causal(), workers)
    assert len(loader) == 2
    found = [[batch["tokens"] for batch in step] for step, _ in loader]
    assert [[tokens[:, 0].tolist() for tokens in step] for step in found] == STEPS
    assert all(t.dtype == torch.int64 and t.shape == (2, 3) for step in found for t in step)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_bert_samples_do_not_depend_on_the_workers(workers: int, tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", "u2") as writer:
        for i in range(4):
            writer.add_document([range(10 + i, 40 + i)] * 6)
    dataset = IndexedDataset(tmp_path / "x")
    mapping = build_mapping(dataset.sizes, dataset.doc_idx, seq_length=64, seed=1, max_samples=6)
    special = BertTokens(1, 2, 3, 0, 60, np.zeros(60, bool))
    samples = BertSamples(dataset, mapping, 64, special, seed=5, length=6)
    for (found, _), step in zip(Loader(samples, STEPS, Masked(), workers), STEPS, strict=True):
        for batch, indices in zip(found, step, strict=True):
            for name, values in batch.items():
                assert values.tolist() == [samples[i][name].tolist() for i in indices], name
            assert batch["tokens"].shape == (2, 64)
            assert batch["sop"].shape == (2,)


class Sentences:
    """Sample i has LENGTHS[i] tokens, padded to 40."""

    LENGTHS = (30, 3, 9, 17, 4, 8)

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> dict[str, Any]:
        mask = (np.arange(40) < self.LENGTHS[i]).astype(np.int64)
        place = {"label": np.int64(0), "index": np.int64(i)}
        return {"tokens": mask * i, "types": 0 * mask, "padding_mask": mask} | place


def test_sentences_of_a_step_share_a_micro_batch_by_their_length() -> None:
    loader = Loader(Sentences(), [[[0, 1], [2, 3], [4, 5]]], Sentiment())
    ((found, counts),) = loader
    assert [batch["index"].tolist() for batch in found] == [[1, 4], [5, 2], [3, 0]]
    # Cut to the longest, and that to a multiple of 8.
    assert [batch["tokens"].shape[1] for batch in found] == [8, 16, 32]
    assert [int(batch["padding_mask"].sum()) for batch in found] == [7, 17, 47]
    assert counts.tolist() == [6]
    assert loader.lengths == {8: 2, 16: 2, 32: 2}


def test_a_loader_leaves_the_random_stream_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    list(Loader(Counting(), STEPS, Causal(), 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_waiting_is_counted_and_working_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 0

    class Slow(Counting):
        def __getitem__(self, i: int) -> np.ndarray:
            nonlocal passed
            passed += 1
            return super().__getitem__(i)

    monkeypatch.setattr("time.perf_counter", lambda: passed)
    loader = Loader(Slow(), STEPS, Causal())
    for _ in loader:
        passed += 100
    # Eight samples of a second; what passes between the steps is not the loader's.
    assert loader.waited == 8


@pytest.mark.parametrize("workers", [0, 1])
def test_a_refused_token_is_one_line_also_from_a_worker(workers: int) -> None:
    with pytest.raises(DataError) as caught:
        list(Loader(Counting("refuse"), STEPS, Causal(), workers))
    assert str(caught.value) == "token=9: the vocabulary has 3 entries"


def test_a_dead_worker_is_named() -> None:
    with pytest.raises(JobError) as caught, dead_workers_named():
        list(Loader(Counting("die"), STEPS, Causal(), 1))
    said = str(caught.value)
    assert said.startswith("a data worker died: DataLoader worker (pid")
    assert said.endswith("fewer data.num_workers need less")
    assert len(said.splitlines()) == 1


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="something else"), dead_workers_named():
        raise RuntimeError("something else")


def test_workers_leave_signals_to_the_rank() -> None:
    (found, _), *_ = Loader(Counting("handlers"), STEPS, Causal(), 1)
    assert [batch["tokens"].tolist() for batch in found] == [[[1, 1], [1, 1]]] * 2


def test_the_counts_are_those_of_the_whole_step() -> None:
    class Labelled:
        """Sample i has i masked tokens."""

        def __len__(self) -> int:
            return 7

        def __getitem__(self, i: int) -> Any:
            return {"labels": np.arange(6) - (6 - i)}

    steps = [[[0, 1], [2, 6]], [[3, 3], [5, 4]], [[0, 0], [0, 0]]]
    counts = [counts.tolist() for _, counts in Loader(Labelled(), steps, Masked())]
    assert counts == [[9, 4], [15, 4], [0, 4]]
    (_, counted), *_ = Loader(Counting(), STEPS, Causal())
    assert counted.tolist() == [2 * 2 * 2]
    assert counted.dtype == torch.float64
