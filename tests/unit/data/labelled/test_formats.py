"""GLUE's tables, RACE's folders and SQuAD's JSON: what is read, and what is refused where."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hydratron.data.labelled.example import Answer, clean
from hydratron.data.labelled.glue import MNLI, QQP, SST2
from hydratron.data.labelled.race import RACE, joined
from hydratron.data.labelled.squad import SQUAD1, SQUAD2, found
from hydratron.errors import DataError


def read(form: Any, file: Path, content: str | bytes) -> tuple[list[Any], Counter[str]]:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    skipped: Counter[str] = Counter()
    return list(form.read(file, skipped)), skipped


def test_tables_with_official_and_plain_columns(tmp_path: Path) -> None:
    for header in ("sentence\tlabel\n", "text_a\tlabel\n"):
        examples, _ = read(SST2, tmp_path / "dev.tsv", header + "it 's  fine . \t1\r\n")
        assert (examples[0].texts, examples[0].label) == (("it 's fine .",), 1)
    names = [
        "index",
        "p",
        "q",
        "genre",
        "b1",
        "b2",
        "s1",
        "s2",
        "sentence1",
        "sentence2",
        "label1",
        "gold_label",
    ]
    row = [*"0123456", "x", "first", "second", "neutral", "entailment"]
    content = "\t".join(names) + "\n" + "\t".join(row) + "\n"
    examples, _ = read(MNLI, tmp_path / "dev_mismatched.tsv", content)
    assert (examples[0].texts, examples[0].label, examples[0].group) == (("first", "second"), 1, 1)
    examples, _ = read(MNLI, tmp_path / "plain.tsv", "neutral\ta\tb\ncontradiction\tc\td\n")
    assert [(e.texts, e.label, e.group) for e in examples] == [
        (("a", "b"), 2, 0),
        (("c", "d"), 0, 0),
    ]


def test_qqp_leaves_out_what_megatron_leaves_out(tmp_path: Path) -> None:
    head = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    rows = "1\t2\t3\ta ?\tb ?\t1\n1\t2\t3\tbroken\n1\t2\t3\t\tb ?\t0\n"
    examples, skipped = read(QQP, tmp_path / "train.tsv", head + rows)
    assert [e.label for e in examples] == [1]
    assert skipped == {"rows of another width": 1, "empty texts": 1}


def asked(**changes: Any) -> str:
    """A passage of RACE with one question, in JSON."""
    content = {"article": "a", "questions": ["q"], "options": [list("abcd")], "answers": ["A"]}
    return json.dumps(content | changes)


def answered(context: str = "c", twice: bool = False, **changes: Any) -> str:
    """A passage of SQuAD with one question, or with the same again, in JSON."""
    one = {"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": 0}]} | changes
    qas = [one, one] if twice else [one]
    return json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]})


REFUSED = [
    (SST2, "sentence\tlabel\na\t0\nb\t7\n", r"row 3=label 7: one of 0, 1 is expected"),
    (SST2, "sentence\tlabel\na\t0\nb\n", r"row 3: has 1 columns; 2 are expected"),
    (SST2, "text\tlabel\na\t0\n", r"row 1: has no column sentence or text_a"),
    (SST2, "index\tsentence\n0\ta\n", r"row 1: has no column label \(a file for testing has none"),
    (SST2, b"sentence\tlabel\n\xff\t0\n", r"row 2: not UTF-8 at byte 0"),
    (MNLI, "neutral\ta\tb\nmaybe\ta\tb\n", r"row 2=label maybe: one of contradiction, entail"),
    (RACE, "{}\n", r"row 1: has no article"),
    (RACE, "\n{no\n", r"row 2: not JSON"),
    (RACE, json.dumps({"article": "a", "questions": ["q"], "options": [list("abcd")],
                       "answers": ["E"]}), r"row 1=answer E: one of A, B, C, D is expected"),
    (RACE, json.dumps({"article": "a", "questions": ["q"], "options": [list("abc")],
                       "answers": ["A"]}), r"row 1: question 1 has 3 options; 4 are expected"),
    (RACE, asked(answers="A"), r"row 1: answers is str; list is expected"),
    (RACE, asked(answers=[True]), r"row 1=answer True: one of A, B, C, D is expected"),
    (RACE, asked(options=[["a", "b", "c", None]]), r"row 1: question 1 and its options are"),
    (RACE, asked(questions=[None]), r"row 1: question 1 and its options are not all texts"),
    (RACE, asked(article="x \ud83d y"), r"row 1: a text has half of a surrogate pair"),
    (RACE, "[" * 100_000, r"row 1: not JSON"),
    (SQUAD2, "[" * 100_000, r"cannot be read"),
    (SQUAD2, answered(context="x \ud83d y"), r"paragraphs\[0\]: context: a text has half of a"),
    (SQUAD2, answered(is_impossible="false"), r"qas\[0\]: is_impossible is str, not bool"),
    (SQUAD2, answered(twice=True), r"qas\[1\]: id 1 is that of data\[0\].paragraphs\[0\].qas\[0\]"),
    (SQUAD2, "[", r"cannot be read"),
    (SQUAD2, json.dumps({"data": [{"paragraphs": [{"context": "c"}]}]}),
     r"data\[0\].paragraphs\[0\]: has no qas"),
    (SQUAD1, json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": [
        {"id": "1", "question": "q", "answers": [], "is_impossible": True}]}]}]}),
     r"qas\[0\]: is_impossible: task=squad2"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "content", "said"), REFUSED)
def test_what_is_wrong_is_told_by_file_and_row(
    form: Any, content: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(form, tmp_path / "file", content)
    assert str(tmp_path / "file") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_race_by_passages_and_by_questions(tmp_path: Path) -> None:
    passage = {"id": "high7.txt", "article": "Some\n text .", "questions": ["It _ so .", "Why?"],
               "options": [["is", "was", "be", "are"], list("wxyz")], "answers": ["B", "D"],
               }  # fmt: skip
    examples, _ = read(RACE, tmp_path / "high" / "7.txt", json.dumps(passage))
    assert [(e.id, e.label, e.group) for e in examples] == [
        ("high7.txt:0", 1, 1),
        ("high7.txt:1", 3, 1),
    ]
    assert examples[0].texts == (
        "It is so .",
        "It was so .",
        "It be so .",
        "It are so .",
        "Some text .",
    )
    assert joined("Why?", "w") == "Why? w"
    assert RACE.files(tmp_path, "data.path") == [tmp_path / "high" / "7.txt"]
    flat = {
        "example_id": "middle1.txt",
        "article": "a",
        "question": "q",
        "options": list("abcd"),
        "answer": "C",
    }
    examples, _ = read(RACE, tmp_path / "flat.jsonl", json.dumps(flat))
    assert [(e.label, e.group, len(e.texts)) for e in examples] == [(2, 0, 5)]


def test_every_question_of_race_has_an_id_of_its_own(tmp_path: Path) -> None:
    found = []
    for level in ("middle", "high"):
        rows = [asked(id=f"{level}1"), asked(id=f"{level}1"), asked(), asked()]
        examples, _ = read(RACE, tmp_path / level / "1.txt", "\n".join(rows))
        found += [one.id for one in examples]
    assert len({*found}) == len(found) == 8


def test_pairs_of_surrogates_and_blank_lines_are_read(tmp_path: Path) -> None:
    pair = '{"article": "\\ud83d\\ude00", "questions": ["q"], "options": [["a","b","c","d"]], '
    examples, _ = read(RACE, tmp_path / "pair", pair + '"answers": ["A"]}')
    assert examples[0].texts[-1] == "\N{GRINNING FACE}"
    examples, skipped = read(SST2, tmp_path / "dev.tsv", "sentence\tlabel\n\na\t0\n\n")
    assert ([one.id for one in examples], skipped) == (["dev.tsv:3"], {})


def test_answers_are_found_where_they_are_said_to_be_or_near() -> None:
    context = "a cat, a dog and a cat"
    assert found(context, Answer("cat", 19)) == 19
    assert found(context, Answer("cat", 17)) == 19
    assert found(context, Answer(" cat ", 1)) == 2
    assert found(context, Answer("horse", 2)) is None
    # What some sets say where they do not know.
    assert [found(context, Answer("cat", start)) for start in (-1, -5, -11)] == [2, 2, 2]


def test_the_cleaning_of_megatron() -> None:
    assert clean("a\n b  . c . d .\te") == "a b. c. d. e"
