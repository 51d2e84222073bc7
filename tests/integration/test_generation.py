"""`hydratron generate` as a user runs it: real ranks, and the texts of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.cli import main
from hydratron.cli.completion import of_generate
from hydratron.interop.convert import convert
from tests.helpers.scored import CONTEXT, checkpointed, small_gpt

PROMPTS = ["the people of these states", "naïve", "liberty and union and"]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "000_one"
    checkpointed(folder)
    lines = [json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS]
    (folder / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def generate(*words: object) -> int:
    return main(["generate", *map(str, words), "--threads", "1"])


@pytest.mark.filterwarnings("ignore")
def test_greedy_texts_are_those_of_transformers_on_the_exported_model(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transformers = pytest.importorskip("transformers")
    assert generate(job, "--prompts", job / "prompts.jsonl", "--parallel", "tp2", "--json") == 0
    ours: list[dict[str, Any]] = [json.loads(s) for s in capsys.readouterr().out.splitlines()]
    convert(job, tmp_path / "exported", "huggingface")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported").eval()
    reader = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    stops = set()
    for found, prompt in zip(ours, PROMPTS, strict=True):
        ids = reader(prompt, return_tensors="pt").input_ids
        with torch.inference_mode():
            said = theirs.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_length=CONTEXT
            )
        expected = said[0, ids.shape[1] :].tolist()
        ended = expected[-1] == reader.eos_token_id
        assert found["tokens"] == expected[: len(expected) - ended]
        assert found["text"] == reader.decode(found["tokens"])
        assert (found["prompt"], found["prompt_tokens"]) == (prompt, ids.shape[1])
        assert found["stop"] == ("end_of_text" if ended else "max_tokens")
        assert (found["seed"], found["tokens_per_second"] > 0) == (0, True)
        stops.add(found["stop"])
    assert len(stops) == 2
    # The same weights say the same to a person, after the prompt.
    whole = next(found for found in ours if found["stop"] == "max_tokens")
    prompt = whole["prompt"]
    assert generate(job, "--prompt", prompt, "--max-tokens", 3) == 0
    said = capsys.readouterr()
    assert said.out == f"{prompt}{reader.decode(whole['tokens'][:3])}\n"
    assert "3 tokens, " in said.err


def test_mistakes_are_one_line(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpointed(tmp_path / "bert", small_gpt("bert"))
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2" / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "empty.txt").write_text("\n")
    text = ("--prompt", "the people")
    wrong: list[tuple[tuple[object, ...], str]] = [
        ((tmp_path / "bert", *text), "is a bert; only a model that tells the next token"),
        ((tmp_path / "gpt2", *text), "hydratron convert"),
        ((tmp_path / "none", *text), "no such folder"),
        ((job, "--prompt", "people " * 40), f"the model has {CONTEXT} positions"),
        ((job, *text, "--max-tokens", 40), f"tokens and --max-tokens 40; the model has {CONTEXT}"),
        ((job, *text, "--parallel", "dp2"), "--parallel=dp2: one replica generates"),
        ((job, *text, "--parallel", "tp3"), "does not divide"),
        ((job, "--prompts", tmp_path / "empty.txt"), "is empty"),
        ((job, "--prompts", tmp_path / "no.txt"), "--prompts="),
        ((job, "--prompt", "\udcff"), "prompt 1: is not UTF-8 text"),
    ]
    for words, expected in wrong:
        assert generate(*words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        [line] = said.err.splitlines()
        assert expected in line
    for more, expected in (
        ((), "one of --prompt and --prompts is needed"),
        ((*text, "--top-k", "5"), "it needs --temperature above 0"),
        ((*text, "--temperature", "-1"), "-1 is not a number from 0 on"),
        ((*text, "--top-p", "1.5"), "1.5 is not a number above 0 and at most 1"),
    ):
        with pytest.raises(SystemExit, match="2"):
            generate(job, *more)
        assert expected in capsys.readouterr().err


def test_completion_knows_degrees_of_one_replica() -> None:
    assert of_generate(["job", "--parallel"]) == ["single", "tp2", "tp4", "tp8"]
    assert of_generate(["job"]) == []
