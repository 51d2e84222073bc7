"""What BERT reads of labelled examples: joined, cut, in windows, and in an order of each epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.load import from_dict
from hydratron.data.corpus import Corpus, open_corpus
from hydratron.data.labelled.summary import counts, line
from hydratron.data.prepare import prepare_job
from hydratron.errors import DataError
from tests.helpers.labelled import labelled_files

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"
CLS, SEP = 2, 3


def opened(files: Path, task: str, length: int, **data: Any) -> tuple[Corpus, Any]:
    config = from_dict(
        {
            "model": {"architecture": "bert", "seq_length": length},
            "task": task,
            "data": {"source": "labelled", "path": str(files), "cache_dir": str(files / "c")}
            | data,
            "tokenizer": {"kind": "bert", "path": str(files / "vocab.txt")},
        }
    )
    return open_corpus(prepare_job(config, progress=False)), config


def samples(corpus: Corpus, config: Any, part: str, n: int | None = None, seed: int = 1) -> Any:
    of_part = corpus.splits[part][0]
    return config.learning.samples(corpus, of_part, config.model.seq_length, n, seed)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = labelled_files(tmp_path_factory.mktemp("pairs") / "files", "sst2", 12, 3)
    rows = ["neutral\tgood film\tbad story", "entailment\tgood film story\tbad house river"]
    (folder / "train.tsv").write_text("\n".join(rows))
    (folder / "dev_matched.tsv").write_text("\n".join(rows))
    return folder


def test_two_texts_are_joined_and_the_tail_is_cut(pairs: Path) -> None:
    corpus, config = opened(pairs, "mnli", 8)
    first, second = samples(corpus, config, "validation")
    good, film, bad, story = (
        corpus.tokenizer.token_id(w) for w in ["good", "film", "bad", "story"]
    )
    house = corpus.tokenizer.token_id("house")
    assert first["tokens"].tolist() == [CLS, good, film, SEP, bad, story, SEP, 0]
    assert first["types"].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]
    assert first["padding_mask"].tolist() == [1, 1, 1, 1, 1, 1, 1, 0]
    assert second["tokens"].tolist() == [CLS, good, film, story, SEP, bad, house, SEP]
    assert [int(first["label"]), int(second["label"])] == [2, 1]
    found = counts(corpus, config)
    assert found["train"] == {"examples": 2, "samples": 2, "cut": 1, "skipped": {}}
    said = "train: 2 examples, 1 cut to fit 8 tokens; validation: 2 examples, 1 cut to fit 8 tokens"
    assert line(found, 8) == said


def test_every_epoch_has_an_order_of_its_own(tmp_path: Path) -> None:
    corpus, config = opened(labelled_files(tmp_path / "files", "sst2", 12, 3), "sst2", 16)
    read = samples(corpus, config, "train", 36)
    order = [int(sample["index"]) for sample in read]
    epochs = [order[i : i + 12] for i in (0, 12, 24)]
    assert all(sorted(epoch) == [*range(12)] for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    other = samples(corpus, config, "train", 12, seed=2)
    assert [int(sample["index"]) for sample in other] == epochs[1]  # seed + epoch
    assert [int(sample["index"]) for sample in samples(corpus, config, "validation")] == [0, 1, 2]


def test_four_options_with_their_passage(tmp_path: Path) -> None:
    corpus, config = opened(labelled_files(tmp_path / "files", "race", 12, 6), "race", 48)
    sample = samples(corpus, config, "validation")[0]
    assert sample["tokens"].shape == (4, 48)
    text = corpus.tokenizer.decode(sample["tokens"][1].tolist())
    content = json.loads(next((tmp_path / "files" / "dev" / "high").glob("*")).read_text())
    assert text.startswith(f"[CLS] never {content['options'][0][1]} river ? [SEP]")
    assert content["article"].split()[:3] == text.split("[SEP]")[1].split()[:3]


def squad(
    folder: Path, context: str, answers: list[dict[str, Any]], question: str = "good ?"
) -> Path:
    labelled_files(folder, "squad2", 3, 3)
    asked = {"id": "q", "question": question, "answers": answers, "is_impossible": not answers}
    data = [{"paragraphs": [{"context": context, "qas": [asked]}]}]
    (folder / "train-v2.0.json").write_text(json.dumps({"data": data}))
    return folder


def test_windows_and_the_places_of_the_answer(tmp_path: Path) -> None:
    words = ["film"] * 300
    words[140:142] = ["good", "house"]
    start = len(" ".join(words[:140])) + 1
    files = squad(
        tmp_path / "files", " ".join(words), [{"text": "good house", "answer_start": start}]
    )
    corpus, config = opened(files, "squad2", 205)
    read = samples(corpus, config, "train")
    # Room for 200 tokens beside [CLS], two of the question and twice [SEP]; a stride of 128.
    assert read.windows.tolist() == [[0, 0, 200], [0, 128, 172]]
    by_window = {int(s["index"]): s for s in read}
    assert [(int(by_window[i]["start"]), int(by_window[i]["end"])) for i in (0, 1)] == [
        (144, 145),
        (16, 17),
    ]
    house = corpus.tokenizer.token_id("house")
    assert by_window[1]["tokens"][17] == house
    corpus, config = opened(files, "squad2", 145)
    assert [
        int(s["start"]) for s in sorted(samples(corpus, config, "train"), key=lambda s: s["index"])
    ] == [0, 16, 0]
    with pytest.raises(DataError, match=r"model\.seq_length=67: at least 68"):
        samples(
            corpus,
            from_dict({"task": "squad2", "model": {"architecture": "bert", "seq_length": 67}}),
            "train",
        )


def test_an_answer_that_is_not_in_its_passage_is_skipped_and_told(tmp_path: Path) -> None:
    files = squad(tmp_path / "files", "good film", [{"text": "horse", "answer_start": 0}])
    with pytest.raises(DataError, match="has no example for train"):
        opened(files, "squad2", 100)
    content = json.loads((files / "dev-v2.0.json").read_text())
    content["data"][0]["paragraphs"].append(
        json.loads((files / "train-v2.0.json").read_text())["data"][0]["paragraphs"][0]
    )
    (files / "train-v2.0.json").write_text(json.dumps(content))
    corpus, config = opened(files, "squad2", 100)
    skipped = counts(corpus, config)["train"]["skipped"]
    assert skipped == {"answers that are not in their passage": 1}


def test_the_windows_of_real_questions(tmp_path: Path) -> None:
    """next-facts E.1: windows at 384 and 512 pieces."""
    file, words = SHARED / "eval" / "squad2-dev-part.json", SHARED / "vocab" / "bert" / "vocab.txt"
    if not file.is_file():
        pytest.skip("needs the shared part of SQuAD 2.0")
    (tmp_path / "vocab.txt").symlink_to(words)
    (tmp_path / "dev-v2.0.json").symlink_to(file)
    squad(tmp_path / "few", "good film", [{"text": "film", "answer_start": 5}])
    (tmp_path / "train-v2.0.json").symlink_to(tmp_path / "few" / "train-v2.0.json")
    for length, windows, several in ((384, 6372, 155), (512, 6217, 86)):
        corpus, config = opened(tmp_path, "squad2", length)
        read = samples(corpus, config, "validation")
        assert len(read) == windows
        assert len({*read.windows[read.windows[:, 1] > 0, 0].tolist()}) == several
