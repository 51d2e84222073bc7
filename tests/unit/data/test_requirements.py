"""What a job asks of its data, and the answer before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus, open_corpus
from hydratron.data.requirements import most_samples, problems
from hydratron.data.samples.assemble import gpt_samples, validation_samples
from hydratron.data.samples.gpt import samples_per_epoch
from tests.helpers.prepared import prepared_folder


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """300 training tokens, 100 for validation."""
    datasets = {"train": [[range(100)]] * 3, "validation": [[range(10)]] * 10}
    return open_corpus(prepared_folder(tmp_path / "data", datasets, 512))


def config(seq_length: int, val_samples: int) -> Config:
    made = Config()
    made.model.seq_length, made.trainer.val_samples = seq_length, val_samples
    return made


def test_enough_data_give_no_problem(corpus: Corpus) -> None:
    assert problems(corpus, config(16, 6)) == []
    assert [str(problem) for problem in problems(corpus, config(16, 7))] == [
        "trainer.val_samples=7: at most 6; the validation split has 100 tokens, seq_length is 16"
    ]


@pytest.mark.fault(33)
def test_a_sequence_longer_than_a_split_is_one_problem(corpus: Corpus) -> None:
    assert problems(corpus, config(99, 1)) == []
    assert [str(problem) for problem in problems(corpus, config(100, 1))] == [
        "model.seq_length=100: at most 99; the validation split of "
        f"{corpus.path / 'validation'} has 100 tokens"
    ]


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.8)])
@pytest.mark.parametrize("seq_length", [1, 4, 11])
def test_a_blend_has_no_sample_twice(
    corpus: Corpus, weights: tuple[float, float], seq_length: int
) -> None:
    (whole,) = corpus.splits["validation"]
    parts = (
        replace(whole, first=0, last=6, weight=weights[0]),
        replace(whole, first=6, last=10, weight=weights[1]),
    )
    blended = replace(corpus, splits={"train": parts, "validation": parts})
    most = most_samples(parts, [samples_per_epoch(part.tokens, seq_length) for part in parts])
    assert most > 0

    def epochs(n: int) -> int:
        drawn = validation_samples(gpt_samples, blended, seq_length, n)
        lengths = [len(part.index.documents) for part in drawn.sets]  # type: ignore[attr-defined]
        return max(length // count for length, count in zip(lengths, (6, 4), strict=True))

    assert epochs(most) == 1
    assert epochs(most + 1) == 2
    assert problems(blended, config(seq_length, most)) == []
    assert len(problems(blended, config(seq_length, most + 1))) == 1


def test_sentences_are_not_for_gpt(tmp_path: Path) -> None:
    datasets = {"train": [[range(4), range(2)]], "validation": [[range(3), range(4)]]}
    folder = prepared_folder(tmp_path / "s", datasets, 512, level="sentence")
    (problem,) = problems(open_corpus(folder), config(2, 1))
    assert str(problem).endswith("holds sentences, for BERT; model.architecture=gpt")
