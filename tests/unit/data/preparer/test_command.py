"""The user's text as a folder of tokens: what is written, left alone, replaced or refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from hydratron.data.indexed import IndexedDataset
from hydratron.data.manifest import read_manifest
from hydratron.data.preparer import blocks, build, command
from hydratron.data.preparer.command import Request, prepare_files
from hydratron.data.text import records, sources
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError
from tests.unit.data.conftest import sentence
from tests.unit.data.text.packing import PACK


@pytest.fixture
def request_(corpus: Path, tmp_path: Path) -> Request:
    return Request(
        inputs=[str(corpus)],
        output=tmp_path / "tokens",
        tokenizer="bpe",
        end=None,
        vocab_size=300,
        keys=["text"],
        level="document",
        append_eod=True,
        language="en",
        workers=1,
        force=False,
    )


@pytest.fixture
def tokenizer(request_: Request, tmp_path: Path) -> str:
    """The path of a tokenizer.json, made from the corpus."""
    prepare_files(replace(request_, output=tmp_path / "first"), progress=False)
    return str(tmp_path / "first" / "tokenizer.json")


def decoded(folder: Path, name: str = "text_document") -> list[str]:
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    dataset = IndexedDataset(folder / name)
    assert all(tokens[-1] == tokenizer.eod for tokens in dataset)
    return [tokenizer.decode(tokens[:-1].tolist()) for tokens in dataset]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_folder_has_the_tokens_and_what_made_them(request_: Request, corpus: Path) -> None:
    outcome = prepare_files(request_, progress=False)
    assert list(files(request_.output)) == [
        "manifest.json", "text_document.bin", "text_document.idx", "tokenizer.json"
    ]  # fmt: skip
    assert decoded(request_.output) == [sentence(i) for i in range(50)]
    manifest = read_manifest(request_.output)
    assert outcome.manifest == manifest
    assert outcome.built
    assert outcome.bytes == corpus.stat().st_size
    assert manifest.datasets["text_document"].documents == 50
    assert manifest.tokenizer["kind"] == "bpe"
    (described,) = manifest.origin["inputs"]
    assert described["name"] == corpus.name


def test_every_kind_of_file_gives_its_documents(
    request_: Request, tokenizer: str, tmp_path: Path
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    expected = []
    for i, suffix in enumerate(PACK):
        line = json.dumps({"text": f"line {i}"}) + "\n"
        (folder / f"{i}.jsonl{suffix}").write_bytes(PACK[suffix](line.encode()))
        (folder / f"{i}.txt{suffix}").write_bytes(PACK[suffix](f"text {i}".encode()))
        expected += [f"line {i}", f"text {i}"]
    parquet.write_table(pyarrow.table({"text": ["row 1", "row 2"]}), folder / "z.parquet")
    last = tmp_path / "last.txt"
    last.write_text("last")
    inputs = [str(folder), str(last)]
    prepare_files(replace(request_, inputs=inputs, tokenizer=tokenizer), progress=False)
    assert decoded(request_.output) == [*expected, "row 1", "row 2", "last"]


def test_several_keys_give_several_datasets(
    request_: Request, tokenizer: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.parquet"
    first.write_text('{"title": "A", "text": "one", "x": 0}\n{"title": "", "text": "two"}\n')
    parquet.write_table(pyarrow.table({"text": ["three"], "title": ["C"]}), second)
    inputs = [str(first), str(second)]
    request = replace(request_, inputs=inputs, keys=["text", "title"], tokenizer=tokenizer)
    assert prepare_files(request, progress=False).dropped == 1
    assert decoded(request.output) == ["one", "two", "three"]
    assert decoded(request.output, "title_document") == ["A", "C"]


@pytest.mark.parametrize("level", ["document", "sentence"])
def test_neither_workers_nor_blocks_change_a_byte(
    request_: Request, tokenizer: str, tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{sentence(i)} {sentence(i + 1)}\n\n{sentence(i + 2)} " for i in range(40)]
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "long.txt").write_text("".join(texts))
    (folder / "m.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    request = replace(
        request_, inputs=[str(folder)], tokenizer=tokenizer, level=level, append_eod=True
    )
    prepare_files(request, progress=False)
    whole = files(request.output)
    monkeypatch.setattr(blocks, "BLOCK_CHARACTERS", 100)
    monkeypatch.setattr(sources, "PIECE_CHARACTERS", 700)
    monkeypatch.setattr(blocks, "line_blocks", lambda reader: records.line_blocks(reader, 1500))
    for workers in (1, 2):
        output = tmp_path / f"workers{workers}"
        prepare_files(replace(request, output=output, workers=workers), progress=False)
        assert files(output) == whole


@pytest.fixture
def fills(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    calls: list[object] = []
    original = build.fill

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "fill", counted)
    return calls


def test_the_same_again_reads_nothing(
    request_: Request, corpus: Path, fills: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_files(request_, progress=False)
    before = files(request_.output)
    content = corpus.read_bytes()
    times = corpus.stat()
    # Unreadable now, but of the same size and time.
    corpus.write_bytes(b"\xff" * len(content))
    os.utime(corpus, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = prepare_files(replace(request_, workers=2), progress=False)
    assert not again.built
    assert again.manifest == first.manifest
    assert (files(request_.output), len(fills)) == (before, 1)


def test_a_copied_input_is_known_by_its_hash(
    request_: Request, corpus: Path, fills: list[object]
) -> None:
    prepare_files(request_, progress=False)
    os.utime(corpus, ns=(1, 2))
    again = prepare_files(request_, progress=False)
    assert not again.built
    assert again.manifest.origin["inputs"][0]["mtime_ns"] == 2
    assert read_manifest(request_.output) == again.manifest
    content = corpus.read_bytes()
    corpus.write_bytes(content.replace(b"liberty", b"Liberty"))
    with pytest.raises(DataError, match="--force replaces them"):
        prepare_files(request_, progress=False)
    assert len(fills) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"vocab_size": 301}, {"append_eod": False}, {"level": "sentence"},
        {"tokenizer": "wordpiece", "vocab_size": 60}, {"inputs": ["more.jsonl"]},
    ],
)  # fmt: skip
def test_other_tokens_are_replaced_by_force_only(
    request_: Request, change: dict[str, object], corpus: Path
) -> None:
    prepare_files(request_, progress=False)
    before = files(request_.output)
    if "inputs" in change:
        corpus.with_name("more.jsonl").write_bytes(corpus.read_bytes() * 2)
        change = {"inputs": [str(corpus.with_name("more.jsonl"))]}
    request = replace(request_, **change)  # type: ignore[arg-type]
    with pytest.raises(DataError) as caught:
        prepare_files(request, progress=False)
    expected = f"--output={request.output}: holds tokens of other text or settings; --force"
    assert str(caught.value).startswith(expected)
    assert files(request_.output) == before
    assert prepare_files(replace(request, force=True), progress=False).built
    assert files(request_.output) != before
    assert not prepare_files(request, progress=False).built


def test_a_damaged_folder_is_not_taken_for_the_same(request_: Request) -> None:
    prepare_files(request_, progress=False)
    before = files(request_.output)
    (request_.output / "text_document.bin").write_bytes(b"")
    assert prepare_files(replace(request_, force=True), progress=False).built
    assert files(request_.output) == before


def test_a_folder_of_something_else_is_never_replaced(request_: Request) -> None:
    request_.output.mkdir()
    (request_.output / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(DataError, match="exists and holds something else"):
            prepare_files(replace(request_, force=force), progress=False)
    assert list(files(request_.output)) == ["thesis.txt"]
    (request_.output / "thesis.txt").unlink()
    assert prepare_files(request_, progress=False).built  # an empty folder holds nothing


def test_a_failure_leaves_nothing(request_: Request, corpus: Path) -> None:
    with corpus.open("a") as file:
        file.write('{"text": 1}\n')
    with pytest.raises(DataError, match=rf"{corpus}:51: the value of 'text' must be a string"):
        prepare_files(request_, progress=False)
    left = [path.name for path in request_.output.parent.iterdir() if path.suffix != ".lock"]
    assert left == [corpus.name]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"inputs": ["none.txt"]}, "INPUT=none.txt: does not exist; expected a .txt, .jsonl"),
        ({"tokenizer": "gpt3"}, "--tokenizer=gpt3: gpt2:PATH, bert:PATH, bpe, wordpiece, or the"),
        ({"tokenizer": "gpt2:none"}, "--tokenizer=gpt2:none: must be a folder with encoder.json"),
        ({"tokenizer": "bert:"}, "--tokenizer=bert:: tokenizer=bert needs a vocab.txt"),
        ({"tokenizer": __file__}, f"--tokenizer={__file__}: {__file__} cannot be read as a token"),
        ({"vocab_size": 10**6}, "--vocab-size=1000000: the text gives at most"),
        ({"keys": ["a", "a"]}, "--key=a: names a file of the output: each once, and without /"),
        ({"keys": ["a/b"]}, "--key=a/b: names a file of the output: each once, and without /"),
    ],
)
def test_wrong_options_are_named(request_: Request, change: dict[str, object], line: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare_files(replace(request_, **change), progress=False)  # type: ignore[arg-type]
    assert str(caught.value).startswith(line)


def test_a_text_file_has_no_keys_to_choose(request_: Request, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    with pytest.raises(DataError, match=rf"INPUT={path}: a .txt file has no keys"):
        prepare_files(replace(request_, inputs=[str(path)], keys=["a", "b"]), progress=False)


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
