"""Tokenizers that end documents otherwise, inputs without text, and what is not read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hydratron.data.indexed import IndexedDataset
from hydratron.data.manifest import read_manifest
from hydratron.data.preparer.command import Request, prepare_files
from hydratron.errors import DataError


def other_end(path: Path, end: str) -> str:
    """The path of a tokenizer.json whose documents end otherwise."""
    inner = json.loads(path.read_text(encoding="utf-8"))
    inner["added_tokens"][0]["content"] = end
    other = path.with_name("other.json")
    other.write_text(json.dumps(inner), encoding="utf-8")
    return str(other)


def test_a_tokenizer_may_end_documents_otherwise(
    request_: Request, tokenizer: str, corpus: Path
) -> None:
    other = other_end(Path(tokenizer), "<END>")
    request = replace(request_, tokenizer=other)
    with pytest.raises(DataError) as caught:
        prepare_files(request, progress=False)
    line = str(caught.value)
    assert line.startswith(f"--tokenizer={other}: has none of <|endoftext|>, [SEP], ")
    assert line.endswith("name its own by --eod, or leave it out by --no-append-eod")
    for change in ({"end": "<END>"}, {"append_eod": False}):
        output = request.output.with_name(str(change))
        manifest = prepare_files(replace(request, output=output, **change), progress=False).manifest
        last = {int(tokens[-1]) for tokens in IndexedDataset(output / "text_document")}
        assert (manifest.eod, manifest.eod in last) == (
            (299, True) if "end" in change else (None, False)
        )
        assert read_manifest(output) == manifest
    with pytest.raises(DataError, match="--force replaces them"):
        prepare_files(
            replace(request, output=output, end="<END>", append_eod=False), progress=False
        )
    with pytest.raises(DataError, match="the vocabulary has no <end>"):
        prepare_files(replace(request, end="<end>"), progress=False)
    with pytest.raises(DataError, match="--eod=<END>: a trained tokenizer has its own"):
        prepare_files(replace(request_, end="<END>"), progress=False)


@pytest.mark.parametrize("content", ["", '{"text": ""}\n{"text": null}\n'])
def test_an_input_without_text_trains_no_tokenizer(
    request_: Request, corpus: Path, content: str
) -> None:
    corpus.write_text(content)
    with pytest.raises(DataError) as caught:
        prepare_files(request_, progress=False)
    assert str(caught.value) == f"INPUT={corpus}: has no text"


def test_what_is_not_read_is_said(request_: Request, corpus: Path) -> None:
    (corpus.parent / "notes.md").write_text("x")
    request = replace(request_, inputs=[str(corpus.parent)])
    for built in (True, False):
        outcome = prepare_files(request, progress=False)
        assert (outcome.built, outcome.note) == (
            built,
            (
                "left out: 1 file other than .txt, .jsonl or .parquet (1 .md)"
                + "; 1 folder that hydratron or W&B wrote" * (not built)
            ),
        )


@pytest.mark.parametrize("content", ["", '{"text": ""}\n'])
def test_an_input_without_text_is_refused(
    request_: Request, tokenizer: str, corpus: Path, content: str
) -> None:
    corpus.write_text(content)
    with pytest.raises(DataError, match="gives no tokens for text_document"):
        prepare_files(replace(request_, tokenizer=tokenizer), progress=False)


def test_an_output_that_cannot_be_written_is_named(request_: Request, corpus: Path) -> None:
    with pytest.raises(DataError, match=rf"--output={corpus}/tokens: cannot be written: "):
        prepare_files(replace(request_, output=corpus / "tokens"), progress=False)
