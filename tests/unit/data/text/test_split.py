"""Which text is for training and which for validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.text import sources
from hydratron.data.text.cutting import Piece, cut_stream, next_boundary, no_cut
from hydratron.data.text.sources import SotuSource, Source, TextSource
from hydratron.data.text.split import _by_length, split_pieces
from hydratron.errors import DataError


def folder(path: Path, texts: list[str]) -> TextSource:
    for i, text in enumerate(texts):
        (path / f"{i:03}.txt").write_text(text)
    return TextSource(str(path), "text")


def split(source: Source) -> list[tuple[str, str]]:
    """Whole documents with their split."""
    pieces = list(split_pieces(source, lambda _: None, no_cut))
    assert all(piece.ends for piece in pieces)
    return [(piece.split, piece.text) for piece in pieces]


def test_every_twentieth_document_from_the_eighth_on_is_validation(tmp_path: Path) -> None:
    parts = split(folder(tmp_path, [str(i) for i in range(50)]))
    assert [text for _, text in parts] == [str(i) for i in range(50)]
    assert [text for name, text in parts if name == "validation"] == ["7", "27", "47"]


def test_eight_documents_are_enough_for_the_rule(tmp_path: Path) -> None:
    assert split(folder(tmp_path, list("abcdefgh")))[-1] == ("validation", "h")


def test_the_embedded_corpus_keeps_13_of_249_files() -> None:
    names = [name for name, _ in split(SotuSource())]
    assert (names.count("train"), names.count("validation")) == (236, 13)


def test_documents_count_once_however_many_pieces_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PIECE_CHARACTERS", 3)
    source = folder(tmp_path, [f"document number {i}" for i in range(9)])
    pieces = list(split_pieces(source, lambda _: None, next_boundary))
    assert len(pieces) == 27
    assert {i // 3 for i, piece in enumerate(pieces) if piece.split == "validation"} == {7}


def test_the_end_of_a_single_text_is_validation(tmp_path: Path) -> None:
    text = "ab cd ef gh " * 100
    (_, train), (_, validation) = parts = split(folder(tmp_path, [text]))
    assert [name for name, _ in parts] == ["train", "validation"]
    assert train + validation == text
    assert validation.startswith(" ")
    assert 0.045 < len(validation) / len(text) <= 0.05


def test_the_cut_counts_all_documents_in_order(tmp_path: Path) -> None:
    texts = ["é b " * 200, "c d " * 225, "e f " * 25]
    parts = split(folder(tmp_path, texts))
    assert [name for name, _ in parts] == ["train", "train", "validation"]
    assert [text for _, text in parts] == texts


def documents(texts: list[str], length: int) -> list[Piece]:
    return [piece for text in texts for piece in cut_stream([text], next_boundary, length)]


@settings(deadline=None)
@given(st.lists(st.text("ab é\n", min_size=1), max_size=7), st.integers(0, 60), st.integers(1, 9))
def test_the_cut_is_the_same_whole_and_in_pieces(texts: list[str], left: int, length: int) -> None:
    whole = list(_by_length(documents(texts, 1000), left))
    assert "".join(part.text for part in whole) == "".join(texts)
    assert all(part.text and part.ends for part in whole)
    names = [part.split for part in whole]
    assert names == sorted(names)  # train before validation

    joined: list[tuple[str, str]] = []
    open_before = False
    for part in _by_length(documents(texts, length), left):
        if open_before:
            joined[-1] = (part.split, joined[-1][1] + part.text)
        else:
            joined.append((part.split, part.text))
        open_before = not part.ends
    assert not open_before
    assert joined == [(part.split, part.text) for part in whole]


@pytest.mark.parametrize("text", ["word", "x", "é" * 50])
def test_a_text_that_cannot_be_cut_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=rf"data.path={tmp_path}: too little text"):
        split(folder(tmp_path, [text]))
