"""`init_from=`: model and tokenizer are those of the weights, and what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydratron.config.load import dump
from hydratron.config.plan import jobs
from hydratron.config.schema import Config
from hydratron.errors import ConfigError

HF = {
    "model_type": "bert", "vocab_size": 30522, "hidden_size": 64, "num_hidden_layers": 3,
    "num_attention_heads": 4, "intermediate_size": 256, "max_position_embeddings": 96,
    "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "ours"
    checkpoint = folder / "checkpoints" / "step_00000200"
    checkpoint.mkdir(parents=True)
    config = jobs(["model=gpt_pico", "optim.lr=5e-4", "model.layernorm.eps=1e-6"])[0].config
    dump(config, folder / "config.yaml")
    for name in ("tokenizer.json", "manifest.json"):
        (checkpoint / name).touch()
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "some encoder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(HF))
    (folder / "vocab.txt").touch()
    return folder


def _started(folder: Path, *overrides: str) -> Config:
    return jobs([f"init_from='{folder}'", *overrides])[0].config


def _refused(folder: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _started(folder, *overrides)
    return [str(problem) for problem in caught.value.problems]


def test_the_model_and_its_tokenizer_come_along_and_the_recipe_does_not(ours: Path) -> None:
    config = _started(ours)
    assert (config.model.name, config.model.hidden_size) == ("gpt_pico", 128)
    assert config.model.layernorm.eps == 1e-6
    assert config.optim.lr == 1e-3
    place = ours / "checkpoints" / "step_00000200" / "tokenizer.json"
    assert (config.tokenizer.kind, config.tokenizer.path) == ("gpt2", str(place))
    assert config.init_from == str(ours)


def test_a_folder_of_hugging_faces_says_its_model(theirs: Path) -> None:
    config = _started(theirs, "model.seq_length=64", "model.num_layers=2")
    assert (config.model.name, config.model.architecture) == ("some_encoder", "bert")
    assert (config.model.num_layers, config.model.seq_length) == (2, 64)
    norm = config.model.layernorm
    assert (norm.placement, norm.eps, config.model.gelu) == ("post", 1e-12, "erf")
    assert config.model.ffn_hidden_size is None
    assert (config.tokenizer.kind, config.tokenizer.path) == ("bert", str(theirs))


def test_a_stated_tokenizer_stays(theirs: Path) -> None:
    assert _started(theirs, "tokenizer=wordpiece").tokenizer.kind == "wordpiece"


def test_what_the_weights_depend_on_may_not_differ(ours: Path) -> None:
    said = _refused(ours, "model.hidden_size=64", "layernorm=post", "model.seq_length=512")
    keys = [line.partition("=")[0] for line in said]
    assert "model.hidden_size" in keys
    assert "model.layernorm.placement" in keys
    assert "model.layernorm.eps" in keys  # the group's file states it
    assert said[-1] == "model.seq_length=512: at most 128, the positions that init_from has"


def test_what_is_no_start_is_refused(ours: Path, theirs: Path, tmp_path: Path) -> None:
    (nowhere,) = _refused(tmp_path / "nowhere")
    assert nowhere.endswith("nowhere: no such folder")
    # Not that the task has another architecture, which the weights would have brought.
    (nowhere,) = _refused(tmp_path / "nowhere", "task=sst2", f"data.path={tmp_path}")
    assert nowhere.endswith("nowhere: no such folder")
    (tmp_path / "empty").mkdir()
    (empty,) = _refused(tmp_path / "empty")
    assert "a folder of Hugging Face's with a config.json" in empty
    (both,) = _refused(ours, f"resume='{ours}'", "trainer.max_steps=2000")
    assert both.startswith("init_from=")
    assert "drop one of them" in both
    (theirs / "config.json").write_text(json.dumps(HF | {"hidden_act": "relu"}))
    (relu,) = _refused(theirs)
    assert "hidden_act=relu: does not map" in relu
    (gpt,) = _refused(ours, "task=sst2", f"data.path={tmp_path}")
    assert gpt.endswith(": is of gpt; task=sst2 learns with model.architecture=bert")
    with pytest.raises(ConfigError, match=r"init_checkpoint=x: is filled in by init_from="):
        jobs(["init_checkpoint=x"])


def test_a_resumed_run_does_not_start_again(ours: Path) -> None:
    parent = _started(ours)
    dump(parent, ours / "config.yaml")
    assert jobs([f"resume='{ours}'"])[0].config.init_from is None
