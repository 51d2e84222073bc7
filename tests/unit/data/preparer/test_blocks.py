"""Input as blocks: in order, small documents together, and long ones in parts."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from hydratron.data.preparer import blocks as blocking
from hydratron.data.preparer.blocks import Block, Fragment, Lines, Part, Texts, file_blocks, gather
from hydratron.data.text import sources
from hydratron.data.text.cutting import next_boundary
from hydratron.data.text.finding import find_files

LINES = Lines(Path("a.jsonl"), 1, b'{"a": "x", "b": "y"}\n', ("a", "b"))
DOCUMENT = st.tuples(st.integers(0, 1), st.lists(st.text("ab", min_size=1, max_size=9), min_size=1))


def texts_of(blocks: list[Block]) -> list[tuple[int, str]]:
    """Dataset and text of each document again."""
    found: list[tuple[int, str]] = []
    open_before = False
    for block in blocks:
        if not isinstance(block, Part):
            assert not open_before
            found.extend(block.read())
            continue
        dataset, text, ends = block.fragment
        if open_before:
            assert found[-1][0] == dataset
            found[-1] = (dataset, found[-1][1] + text)
        else:
            found.append((dataset, text))
        open_before = not ends
    assert not open_before
    return found


@given(st.lists(DOCUMENT))
def test_documents_keep_their_order(documents: list[tuple[int, list[str]]]) -> None:
    fragments = [
        Fragment(dataset, text, i == len(texts) - 1)
        for dataset, texts in documents
        for i, text in enumerate(texts)
    ]
    blocks = list(gather(fragments))
    assert texts_of(blocks) == [(dataset, "".join(texts)) for dataset, texts in documents]
    # Neighbours that are whole are in one block.
    kinds = [type(block) for block in blocks]
    assert (Texts, Texts) not in pairwise(kinds)


def test_blocks_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "BLOCK_CHARACTERS", 10)
    blocks = list(gather(Fragment(0, "abcd", True) for _ in range(7)))
    assert [block.bytes for block in blocks] == [12, 12, 4]


def test_lines_come_between_the_documents_around_them() -> None:
    blocks = list(gather([Fragment(1, "é", True), LINES, Fragment(0, "z", True)]))
    assert texts_of(blocks) == [(1, "é"), (0, "x"), (1, "y"), (0, "z")]
    assert [block.bytes for block in blocks] == [2, 21, 1]


def test_files_of_all_kinds_are_read_and_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PIECE_CHARACTERS", 5)
    (tmp_path / "a.txt").write_text("a long text")
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in "xy"))
    parquet.write_table(pyarrow.table({"text": ["p", None]}), tmp_path / "c.parquet")
    files = find_files([tmp_path], "INPUT").files
    told: list[int] = []
    hashes: list[str] = []
    blocks = list(file_blocks(files, ["text"], next_boundary, told.append, hashes))
    assert texts_of(blocks) == [(0, text) for text in ("a long text", "x", "y", "p", "")]
    assert sum(told) == sum(file.size() for file in files)
    assert hashes == [hashlib.sha256(file.path.read_bytes()).hexdigest() for file in files]
