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
    monkeypatch.setattr(
        blocks, "line_blocks", lambda reader, path: records.line_blocks(reader, path, 1500)
    )
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
