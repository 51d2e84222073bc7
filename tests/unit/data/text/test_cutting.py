"""Long texts in pieces: nothing is lost, and no piece starts inside a word or a sentence."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydratron.data.text import cutting, records
from hydratron.data.text.cutting import cut_stream, next_boundary, next_paragraph, no_cut
from hydratron.data.text.files import InputFile
from hydratron.data.text.sentences import split_sentences
from hydratron.data.text.sources import read_pieces
from hydratron.errors import DataError


@pytest.mark.parametrize(
    ("text", "start", "place"),
    [("ab cd", 0, 0), ("ab cd", 1, 2), ("ab cd", 2, 2), ("ab cd", 3, 5), ("ab  \n c", 3, 7)],
)
def test_boundaries_are_before_the_first_space(text: str, start: int, place: int) -> None:
    assert next_boundary(text, start) == place


@pytest.mark.parametrize(
    ("text", "start", "place"),
    [("a\n\nb", 0, 1), ("a\n\nb", 2, 4), ("a b\nc", 0, 5), ("a\n\n\n\nb\n\nc", 2, 6)],
)
def test_paragraphs_end_before_an_empty_line(text: str, start: int, place: int) -> None:
    assert next_paragraph(text, start) == place


@pytest.mark.fault(55)
def test_a_paragraph_that_never_ends_is_cut_at_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LONGEST_PARAGRAPH", 10)
    text = "some words and more words.\n\nend"
    assert next_paragraph(text, 4) == 10
    assert next_paragraph(text, 12) == 14
    for size in (1, 5, 100):
        chunks = [text[i : i + size] for i in range(0, len(text), size)]
        pieces = [piece.text for piece in cut_stream(chunks, next_paragraph, 4)]
        assert pieces == ["some words", " and more words.", "\n\nend"]


@pytest.mark.fault(55)
@pytest.mark.parametrize(
    ("name", "what"),
    [("bomb.txt.gz", "word"), ("bomb.jsonl.gz", "word"), ("line.jsonl.gz", "line")],
)
def test_a_word_or_a_line_without_end_is_refused_soon(
    name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LONGEST_LINE", 1 << 24)
    endless = b"a" * 1_000_000
    with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
        file.write(b"" if name.endswith("txt.gz") else b'{"text": "')
        for _ in range(9 if name.startswith("bomb") else 40):
            file.write(endless)
        file.write(b"" if name.endswith("txt.gz") else b'"}\n')
    found = InputFile(name, tmp_path / name)
    with pytest.raises(DataError, match=f"a {what} of more than") as caught:
        list(read_pieces(found, "text", lambda count: None, next_boundary))
    assert str(caught.value).startswith(str(tmp_path / name))


@given(st.text("ab \n\té"), st.integers(1, 6), st.lists(st.integers(1, 9)))
@example("abc\n\nd", 1, [4])  # the empty line comes in two chunks
def test_pieces_do_not_depend_on_how_the_text_arrives(
    text: str, length: int, sizes: list[int]
) -> None:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(text[start : start + size])
        start += size
    for cut in (next_boundary, next_paragraph, no_cut):
        pieces = list(cut_stream([*chunks, text[start:]], cut, length))
        assert pieces == list(cut_stream([text], cut, length))
        assert "".join(piece.text for piece in pieces) == text
        assert [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert all(len(piece.text) >= length for piece in pieces[:-1])
        assert cut is not no_cut or len(pieces) == 1


@given(st.lists(st.text("Ab. \n?"), max_size=6))
def test_no_sentence_goes_over_a_cut(texts: list[str]) -> None:
    text = "\n\n".join(texts)
    pieces = list(cut_stream([text], next_paragraph, 1))
    apart = [sentence for piece in pieces for sentence in split_sentences(piece.text, "en")]
    assert apart == split_sentences(text, "en")


def test_sentences_have_no_space_around_them() -> None:
    text = "  Mr. Smith came. He saw!\n\n \n\nThen he left "
    assert split_sentences(text, "en") == ["Mr. Smith came.", "He saw!", "Then he left"]
    assert split_sentences(" \n\n ", "en") == []
