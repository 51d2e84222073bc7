from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydratron.data.corpus import open_corpus
from hydratron.data.samples import frequency
from hydratron.data.samples.frequency import frequency_loss
from hydratron.tasks.causal import Causal
from hydratron.tasks.masked import Masked
from tests.helpers.prepared import prepared_folder

NEXT, MASKED = Causal().predicted, Masked().predicted


def test_gpt_is_asked_for_the_next_tokens(tmp_path: Path) -> None:
    # Seven 1s and one 2, and one of each of the four entries more.
    splits = {"train": [[[1] * 7], [[2]]], "validation": [[[3, 3]]]}
    corpus = open_corpus(prepared_folder(tmp_path / "d", splits, 4))
    sample = np.array([3, 1, 1, 2])
    expected = -(2 * math.log(8 / 12) + math.log(2 / 12)) / 3
    assert frequency_loss(corpus, [sample], NEXT) == pytest.approx(expected)


def test_bert_is_asked_for_what_was_masked(tmp_path: Path) -> None:
    splits = {"train": [[[1] * 7], [[2]]], "validation": [[[3, 3]]]}
    corpus = open_corpus(prepared_folder(tmp_path / "d", splits, 4))
    samples = [{"labels": np.array([-1, 2, -1])}, {"labels": np.array([-1, -1, 1])}]
    expected = -(math.log(2 / 12) + math.log(8 / 12)) / 2
    assert frequency_loss(corpus, samples, MASKED) == pytest.approx(expected)
    assert math.isnan(frequency_loss(corpus, [{"labels": np.array([-1])}], MASKED))


def test_a_large_split_is_counted_in_parts_spread_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [[[i % 2] * 10] for i in range(60)] + [[[2] * 10]] * 60
    corpus = open_corpus(
        prepared_folder(tmp_path / "d", {"train": documents, "validation": [[[0]]]}, 4)
    )
    samples = [np.array([0, 0]), np.array([0, 2])]
    whole = frequency_loss(corpus, samples, NEXT)
    monkeypatch.setattr(frequency, "COUNTED", 400)  # every third document
    assert frequency_loss(corpus, samples, NEXT) == pytest.approx(whole, rel=0.02)


def test_the_parts_of_a_blend_count_by_their_weights(tmp_path: Path) -> None:
    splits = {"train": [[[1] * 50], [[2] * 50]], "validation": [[[3]]]}
    corpus = open_corpus(prepared_folder(tmp_path / "d", splits, 4))
    (part,) = corpus.splits["train"]
    halves = (replace(part, last=1, weight=0.9), replace(part, first=1, weight=0.1))
    blended = replace(corpus, splits=dict(corpus.splits) | {"train": halves})
    ones, twos = (frequency_loss(blended, [np.array([0, token])], NEXT) for token in (1, 2))
    assert ones == pytest.approx(-math.log(46 / 54))
    assert twos == pytest.approx(-math.log(6 / 54))
