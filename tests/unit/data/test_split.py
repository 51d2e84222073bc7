"""Which text is for training and which for validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.sources import SotuSource, TextSource
from hydratron.data.split import _cut, next_boundary, split_documents
from hydratron.errors import DataError


def folder(path: Path, texts: list[str]) -> TextSource:
    for i, text in enumerate(texts):
        (path / f"{i:03}.txt").write_text(text)
    return TextSource(str(path), "text")


def test_every_twentieth_document_from_the_eighth_on_is_validation(tmp_path: Path) -> None:
    parts = list(split_documents(folder(tmp_path, [str(i) for i in range(50)])))
    assert [text for _, text in parts] == [str(i) for i in range(50)]
    assert [text for split, text in parts if split == "validation"] == ["7", "27", "47"]


def test_eight_documents_are_enough_for_the_rule(tmp_path: Path) -> None:
    parts = list(split_documents(folder(tmp_path, list("abcdefgh"))))
    assert parts[-1] == ("validation", "h")


def test_the_embedded_corpus_keeps_13_of_249_files() -> None:
    splits = [split for split, _ in split_documents(SotuSource())]
    assert (splits.count("train"), splits.count("validation")) == (236, 13)


def test_the_end_of_a_single_text_is_validation(tmp_path: Path) -> None:
    text = "ab cd ef gh " * 100
    (_, train), (_, validation) = parts = list(split_documents(folder(tmp_path, [text])))
    assert [split for split, _ in parts] == ["train", "validation"]
    assert train + validation == text
    assert validation.startswith(" ")
    assert 0.045 < len(validation) / len(text) <= 0.05


def test_the_cut_counts_all_documents_in_order(tmp_path: Path) -> None:
    texts = ["é b " * 200, "c d " * 225, "e f " * 25]
    parts = list(split_documents(folder(tmp_path, texts)))
    assert [split for split, _ in parts] == ["train", "train", "validation"]
    assert [text for _, text in parts] == texts


@settings(deadline=None)
@given(st.lists(st.text("ab é\n", min_size=1), max_size=7))
def test_the_cut_loses_and_reorders_nothing(texts: list[str]) -> None:
    parts = list(_cut(texts))
    assert "".join(text for _, text in parts) == "".join(texts)
    assert all(text for _, text in parts)
    splits = [split for split, _ in parts]
    assert splits == sorted(splits)  # train before validation


@pytest.mark.parametrize("text", ["word", "x", "é" * 50])
def test_a_text_that_cannot_be_cut_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=rf"data.path={tmp_path}: too little text"):
        list(split_documents(folder(tmp_path, [text])))


@pytest.mark.parametrize(
    ("text", "start", "place"),
    [("ab cd", 0, 0), ("ab cd", 1, 2), ("ab cd", 2, 2), ("ab cd", 3, 5), ("ab  \n c", 3, 7)],
)
def test_boundaries_are_before_the_first_space(text: str, start: int, place: int) -> None:
    assert next_boundary(text, start) == place
