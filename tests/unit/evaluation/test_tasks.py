"""The files of the tasks: counts known from elsewhere, and one line for what is none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError
from hydratron.evaluation.contract import Request
from hydratron.evaluation.detokenize import detokenize
from hydratron.evaluation.table import TASKS
from tests.unit.evaluation.conftest import shared


def test_the_detokenizer_makes_prose() -> None:
    text = (
        ' = Ship = \n The ship \'s 1 @,@ 200 men ( well @-@ known ) said " sail on " , at 30 ° N . '
    )
    assert (
        detokenize(text)
        == ' = Ship =\nThe ship\'s 1,200 men (well-known) said "sail on", at 30°N. '
    )


def test_wikitext_is_counted_by_its_words(gpt2: Tokenizer) -> None:
    found = TASKS["wikitext103"].read(Request(1024, 32, shared("wikitext2-test.tokens")), gpt2)
    assert found.counts["original_tokens"] == 245_566
    assert found.counts["tokens"] == 278_365  # With WikiText-2's <unk>; WikiText-103: 270,329.
    assert found.known
    # Counted elsewhere for lm-eval's task, by the same rules on the raw file.
    raw = shared("wikitext2-test.raw").read_text(encoding="utf-8")
    assert len(gpt2.encode(detokenize(raw))) == 270_725


def test_an_excerpt_is_not_official(gpt2: Tokenizer, tmp_path: Path) -> None:
    whole = shared("wikitext2-test.tokens").read_text(encoding="utf-8")
    excerpt = tmp_path / "excerpt.tokens"
    excerpt.write_text(whole[:20_000], encoding="utf-8")
    assert not TASKS["wikitext103"].read(Request(1024, 32, excerpt), gpt2).known


@pytest.mark.parametrize(
    ("megatron", "targets", "single"), [(False, 6_573, 4_010), (True, 6_542, 4_013)]
)
def test_lambada_has_the_harness_targets(
    gpt2: Tokenizer, megatron: bool, targets: int, single: int
) -> None:
    request = Request(1024, 1024, shared("lambada-openai-test.jsonl"), megatron_words=megatron)
    found = TASKS["lambada"].read(request, gpt2)
    assert found.counts["examples"] == 5_153
    assert (found.counts["target_tokens"], found.counts["one_token_targets"]) == (targets, single)
    assert found.known
    assert found.counts["cut"] == 0


BAD = {
    "wikitext103": {"": "is empty", "plain words": "is not WikiText's tokenised file"},
    "lambada": {
        "": "is empty",
        "[1]\n": "line 1: has no text under 'text'",
        "{\n": "line 1: is not JSON",
        '{"text": "one"}\n': "passage 1: has no word before its last one",
    },
    "perplexity": {"": "is empty"},
}


@pytest.mark.parametrize(
    ("task", "content"), [(task, content) for task, bad in BAD.items() for content in bad]
)
def test_what_is_not_the_tasks_file_is_one_line(
    gpt2: Tokenizer, tmp_path: Path, task: str, content: str
) -> None:
    path = tmp_path / ("bad.txt" if task == "perplexity" else "bad.jsonl")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        TASKS[task].read(Request(32, 16, path), gpt2)
    assert str(caught.value).startswith(f"--data={path}: ")
    assert BAD[task][content] in str(caught.value)
    assert "\n" not in str(caught.value)
