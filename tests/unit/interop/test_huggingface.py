"""Ours to Hugging Face's and back: bitwise, in one file or many, and refused where it is not so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.config import huggingface as options
from hydratron.errors import HydratronError
from hydratron.interop import huggingface, names, own
from hydratron.interop.convert import convert
from hydratron.interop.model import Model
from tests.helpers import foreign

transformers = pytest.importorskip("transformers")


def equal(left: Model, right: Model) -> None:
    mine, theirs = left.raw(), right.raw()
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert tensor.equal(theirs[name]), name


@pytest.fixture
def job(tmp_path: Path) -> Any:
    """A folder of ours with a model of a family."""

    def make(family: str, name: str = "ours", **changes: Any) -> tuple[Path, Model]:
        made = foreign.model(family, **changes)
        (tmp_path / name).mkdir()
        own.write(tmp_path / name, made)
        return tmp_path / name, made

    return make


@pytest.mark.parametrize("family", foreign.FAMILIES)
def test_round_trips_are_bitwise(family: str, job: Any, tmp_path: Path) -> None:
    ours, made = job(family)
    there, back, again = tmp_path / "there", tmp_path / "back", tmp_path / "again"
    assert convert(ours, there, "huggingface").difference < 1e-12
    assert convert(there, back, "hydratron").difference < 1e-12
    equal(own.read(back / "checkpoints" / "step_00000000"), made)
    found = own.config_of(back / "checkpoints" / "step_00000000").model
    assert found.layernorm == made.options.layernorm
    assert found.gelu == made.options.gelu
    convert(back, again, "huggingface", shard_bytes=40_000)
    index = json.loads((again / "model.safetensors.index.json").read_text())
    assert len({*index["weight_map"].values()}) > 2
    safetensors = pytest.importorskip("safetensors.torch")
    first = safetensors.load_file(there / "model.safetensors")
    second: dict[str, torch.Tensor] = {}
    for place in {*index["weight_map"].values()}:
        second |= safetensors.load_file(again / place)
    assert first.keys() == second.keys()
    assert all(first[name].equal(second[name]) for name in first)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (there / name).read_bytes() == (again / name).read_bytes()
    model, _ = huggingface.read(again)
    equal(model, made)


def test_plain_transformers_writes_the_same_text(job: Any, tmp_path: Path) -> None:
    ours, made = job("gpt2")
    convert(ours, tmp_path / "there", "huggingface")
    network, said = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "there", output_loading_info=True
    )
    assert not any(said.values())
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    prompt = "the people of these states <|endoftext|>"
    ids = words(prompt, return_tensors="pt")
    assert ids["input_ids"][0].tolist() == made.tokenizer.encode(prompt)
    theirs = network.generate(**ids, max_new_tokens=12, do_sample=False, pad_token_id=0)
    mine, tokens = made.network(), ids["input_ids"]
    while tokens.shape[1] < theirs.shape[1]:
        best = mine.logits(tokens)[:, -1, : made.vocab_size].argmax(-1)
        tokens = torch.cat([tokens, best[:, None]], dim=1)
    assert tokens.tolist() == theirs.tolist()
    assert words.decode(theirs[0]) == made.tokenizer.decode(tokens[0].tolist())


def test_a_pair_of_segments_is_tokenised_as_bert_wants(job: Any, tmp_path: Path) -> None:
    ours, made = job("bert")
    convert(ours, tmp_path / "there", "huggingface")
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    found = words("liberty", "union [SEP]")
    cls, sep = (made.tokenizer.token_id(name) for name in ("[CLS]", "[SEP]"))
    a, b = made.tokenizer.encode("liberty"), made.tokenizer.encode("union [SEP]")
    assert found["input_ids"] == [cls, *a, sep, *b, sep]
    assert found["token_type_ids"] == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    assert sep not in b


@pytest.mark.parametrize("heads", [("lm_head", "binary_head"), ("pooler", "binary_head")])
@pytest.mark.parametrize("family", ["bert", "megatron-bert"])
def test_an_encoder_without_heads_comes_and_goes(
    family: str, heads: tuple[str, ...], tmp_path: Path
) -> None:
    made = foreign.without(foreign.model(family), *heads)
    (tmp_path / "there").mkdir()
    huggingface.write(tmp_path / "there", made)
    done = convert(tmp_path / "there", tmp_path / "ours", "hydratron")
    assert {*done.missing} == {*heads}
    convert(tmp_path / "ours", tmp_path / "again", "huggingface")
    first, second = (tmp_path / at / "model.safetensors" for at in ("there", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_deepnorm_becomes_bert(tmp_path: Path) -> None:
    made = foreign.model("bert", eps=1e-5)
    made.options.layernorm.placement = "deepnorm"
    (tmp_path / "ours").mkdir()
    own.write(tmp_path / "ours", made)
    assert convert(tmp_path / "ours", tmp_path / "there", "huggingface").difference < 2e-5


def test_halves_are_read_exactly(job: Any, tmp_path: Path) -> None:
    ours, made = job("gpt2")
    convert(ours, tmp_path / "there", "huggingface")
    network = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "there")
    network.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    (tmp_path / "half" / "tokenizer.json").write_text(made.tokenizer.to_json())
    model, _ = huggingface.read(tmp_path / "half")
    for name, tensor in made.raw().items():
        assert model.tensors[name].equal(tensor.bfloat16().float())


@pytest.mark.parametrize(
    ("changed", "value"), [("layer_norm_epsilon", 1e-12), ("activation_function", "gelu")]
)
def test_what_computes_something_else_leaves_nothing(
    changed: str, value: Any, job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = job("gpt2")
    right = options.written

    def wrong(*of: Any) -> dict[str, Any]:
        return right(*of) | {changed: value}

    monkeypatch.setattr(options, "written", wrong)
    with pytest.raises(HydratronError, match=r"logits of both sides differ by .*; nothing kept"):
        convert(ours, tmp_path / "there", "huggingface")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_a_forgotten_order_of_heads_is_seen(
    job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = job("bert")
    convert(ours, tmp_path / "there", "huggingface")
    real = names.from_huggingface

    def forgotten(*of: Any) -> dict[str, torch.Tensor]:
        found = real(*of)
        name = "layers.1.attention.sublayer.query_key_value.bias"
        found[name] = found[name].unflatten(0, (foreign.HEADS, 3, -1)).transpose(0, 1).flatten()
        return found

    monkeypatch.setattr(huggingface, "from_huggingface", forgotten)
    with pytest.raises(HydratronError, match="of both sides differ"):
        convert(tmp_path / "there", tmp_path / "back", "hydratron")
    assert not (tmp_path / "back").exists()


def test_rows_of_padding_never_win_and_are_not_exported(job: Any, tmp_path: Path) -> None:
    ours, made = job("gpt2", vocab_multiple=1024)
    convert(ours, tmp_path / "there", "huggingface")
    convert(tmp_path / "there", tmp_path / "back", "hydratron")
    found = own.read(tmp_path / "back" / "checkpoints" / "step_00000000")
    words = found.tensors["word_embeddings.weight"]
    assert words.shape == (1024, foreign.HIDDEN)
    real = words[: made.vocab_size].double()
    assert torch.allclose(words[-1].double(), real.mean(0), atol=1e-6)
