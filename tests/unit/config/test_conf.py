"""Every YAML file of conf/ composes, validates and says in a comment what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hydratron.config import folders
from hydratron.config.folders import conf_dir, groups, search_folders
from hydratron.config.plan import jobs
from hydratron.errors import ConfigError

GROUPS = groups([conf_dir()])
CHOICES = [
    (group, choice)
    for group, choices in GROUPS.items()
    for choice in choices
    if group != "experiment"
]
# What a choice needs from others to be a job that can run.
COMPANIONS = {
    "data=text": ["data.path={file}"],
    "data=indexed": ["data.path=tokens"],
    "data=blend": ["data.paths=[a,b]"],
    "tokenizer=gpt2": ["tokenizer.path={file}"],
    "tokenizer=bert": ["tokenizer.path={file}"],
    "tokenizer=prepared": ["data=indexed", "data.path=tokens"],
}
TOKENIZERS: dict[str, list[str]] = {"gpt": [], "gpt2": [], "scaling": [], "turing": []}
TOKENIZERS["bert"] = ["tokenizer=wordpiece"]


def _companions(group: str, choice: str, file: Path) -> list[str]:
    extra = [line.format(file=file) for line in COMPANIONS.get(f"{group}={choice}", [])]
    if group == "parallel":
        # Twelve layers, which every number of stages divides.
        extra += ["model=gpt_small", "launch=torchrun", "trainer.global_batch_size=512"]
        extra += ["model.num_layers=12"]
    if group == "model":
        extra += TOKENIZERS[choice.split("_")[0]]
    return extra


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_is_a_valid_job(group: str, choice: str, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("words")
    planned = jobs([f"{group}={choice}", *_companions(group, choice, file)])
    assert len(planned) == 1
    if f"{group}={choice}" in ("data=indexed", "data=blend"):
        assert planned[0].config.tokenizer.kind == "prepared"
    if group == "model":
        assert planned[0].config.model.name == choice
    if group == "parallel":
        assert planned[0].config.parallel.label == choice
    if group == "layernorm":
        assert planned[0].config.model.layernorm.placement == choice


@pytest.mark.parametrize("kind", ["bpe", "gpt2"])
def test_bert_is_refused_a_tokenizer_without_its_marks(kind: str, tmp_path: Path) -> None:
    path = [f"tokenizer.path={tmp_path}"] if kind == "gpt2" else []
    with pytest.raises(ConfigError, match=rf"tokenizer.kind={kind}: BERT needs \[CLS\]"):
        jobs(["model=bert_pico", f"tokenizer={kind}", *path])


@pytest.mark.parametrize("experiment", GROUPS["experiment"])
def test_every_experiment_is_a_valid_sweep(experiment: str, tmp_path: Path) -> None:
    content = yaml.safe_load((conf_dir() / "experiment" / f"{experiment}.yaml").read_text())
    # A fine-tuning needs its files, and a tokenizer, which init_from= would bring.
    more = ["tokenizer=wordpiece", f"data.path={tmp_path}"] if "task" in content else []
    if more and not any("override /model" in line for line in content["defaults"]):
        more.append("model=bert_pico")
    assert jobs([f"experiment={experiment}", *more], multirun=True)


@pytest.mark.parametrize("file", sorted(conf_dir().rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_says_what_it_is(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if "@package" not in line]
    assert lines[0].startswith("# ")
    assert file.parent.name != "experiment" or len(lines) <= 25


# Layers, hidden size, heads, vocabulary multiple and the paper's parameter count at that padding
# (GPT-2's vocabulary, 1024 positions).
PUBLISHED = {
    "gpt2_355m": (24, 1024, 16, 128, 354_871_296),
    "gpt2_2.5b": (54, 1920, 20, 1024, 2_490_408_960),
    "gpt2_8.3b": (72, 3072, 24, 1024, 8_317_040_640),
    "scaling_1.2b": (40, 1536, 16, 1024, 1_213_479_936),
    "scaling_2.5b": (54, 1920, 20, 1024, 2_490_408_960),
    "scaling_4.2b": (64, 2304, 24, 1024, 4_199_109_120),
    "scaling_8.3b": (72, 3072, 32, 1024, 8_317_040_640),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_shapes_have_the_published_size(name: str) -> None:
    layers, hidden, heads, multiple, parameters = PUBLISHED[name]
    model = jobs([f"model={name}"])[0].config.model
    assert (model.num_layers, model.hidden_size) == (layers, hidden)
    assert (model.num_attention_heads, model.vocab_multiple) == (heads, multiple)
    assert (model.seq_length, model.init_std, model.dropout) == (1024, 0.02, 0.1)
    vocabulary = -(-50257 // multiple) * multiple
    blocks = layers * (12 * hidden**2 + 13 * hidden)
    assert (vocabulary + 1024 + 2) * hidden + blocks == parameters


# Layers, hidden size and heads (paper, Table 4; no shape of 752M is published, it is our choice).
BERTS = {
    "bert_336m": (24, 1024, 16),
    "bert_752m": (36, 1280, 20),
    "bert_1.3b": (24, 2048, 32),
    "bert_3.9b": (48, 2560, 40),
}


@pytest.mark.parametrize("name", BERTS)
def test_published_shapes_of_bert(name: str) -> None:
    model = jobs([f"model={name}", "tokenizer=wordpiece"])[0].config.model
    assert (model.num_layers, model.hidden_size, model.num_attention_heads) == BERTS[name]
    assert (model.architecture, model.seq_length, model.vocab_multiple) == ("bert", 512, 128)
    assert (model.init_std, model.dropout, model.gelu) == (0.02, 0.1, "erf")


SMALL = [f"gpt_{size}" for size in ("pico", "nano", "micro", "mini", "small")]
SMALL += [f"bert_{size}" for size in ("pico", "nano", "micro", "mini")]


@pytest.mark.parametrize("name", SMALL)
def test_small_shapes_scale_their_initial_weights(name: str) -> None:
    model = jobs([f"model={name}", *TOKENIZERS[name.split("_")[0]]])[0].config.model
    assert model.init_std == pytest.approx(0.02 * (1024 / model.hidden_size) ** 0.5, rel=1e-5)
    assert (model.seq_length, model.dropout) == (128, 0.0)


def test_the_paper_recipe() -> None:
    lines = ["model=gpt2_8.3b", "parallel=tp8_dp64", "optim=paper", "schedule=paper"]
    config = jobs([*lines, "trainer=paper", "launch=torchrun"])[0].config
    assert config.parallel.world_size == 512
    assert (config.trainer.global_batch_size, config.trainer.max_steps) == (512, 300_000)
    assert (config.optim.lr, config.optim.weight_decay, config.optim.clip_grad) == (1.5e-4, 0.01, 1)
    assert (config.schedule.warmup_steps, config.schedule.min_lr) == (3000, 1e-5)
    assert config.accumulation == 1


def test_groups_find_nested_and_added_folders(tmp_path: Path) -> None:
    (tmp_path / "experiment" / "figures").mkdir(parents=True)
    (tmp_path / "experiment" / "figures" / "fig7.yaml").write_text("")
    found = groups(search_folders([f"file://{tmp_path}"]))
    assert {"demo", "figures/fig7"} <= set(found["experiment"])
    assert groups(search_folders([str(tmp_path), "pkg://no.such.package"])) == found
    assert "hydra" not in groups(search_folders(["pkg://hydra/conf"]))


def test_an_installed_wheel_uses_its_own_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lib" / "site-packages" / "hydratron"
    monkeypatch.setattr(folders, "__file__", str(package / "config" / "folders.py"))
    assert folders.conf_dir() == package / "conf"
    monkeypatch.undo()
    assert (folders.conf_dir() / "config.yaml").is_file()


@pytest.mark.parametrize(
    ("choice", "scale"), [("pre", 1.0), ("post", 1.0), ("deepnorm", None), ("sandwich", None)]
)
def test_a_placement_has_its_own_scale_or_the_stated_one(choice: str, scale: float | None) -> None:
    lines = [f"layernorm={choice}"]
    assert jobs(lines)[0].config.model.layernorm.residual_scale == scale
    lines += ["model.layernorm.residual_scale=0.5"]
    assert jobs(lines)[0].config.model.layernorm.residual_scale == 0.5


@pytest.mark.fault(42)
def test_values_in_conf_are_plain() -> None:
    for file in conf_dir().rglob("*.yaml"):
        assert "_target_" not in str(yaml.safe_load(file.read_text()))
