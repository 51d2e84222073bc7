"""`resume=`: the parent's configuration, and what the command states wins over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.config.load import dump
from hydratron.config.plan import jobs
from hydratron.config.resume import config_file
from hydratron.config.schema import Config
from hydratron.errors import ConfigError
from hydratron.job import JobFolder
from tests.helpers.jobs import checkpoint


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A job folder with a checkpoint, of a configuration far from the defaults."""
    folder = tmp_path / "parent=1"
    checkpoint(JobFolder(folder), 200)
    config = jobs(["model=gpt_pico", "layernorm=post", "optim.lr=5e-4", "seed=7"])[0].config
    config.schedule.decay_steps = 90
    config.trainer.max_steps = 300
    config.optim.weight_decay = 0.5
    config.data.prepared = "/prepared"
    dump(config, folder / "config.yaml")
    return folder


def _resumed(parent: Path, *overrides: str) -> Config:
    return jobs([f"resume='{parent}'", *overrides])[0].config


def test_everything_comes_from_the_parent(parent: Path) -> None:
    config = _resumed(parent)
    assert (config.model.name, config.model.layernorm.placement) == ("gpt_pico", "post")
    assert (config.optim.lr, config.optim.weight_decay, config.seed) == (5e-4, 0.5, 7)
    assert config.trainer.max_steps == 300
    assert config.resume == str(parent)
    assert config.data.prepared is None


def test_a_checkpoint_stands_for_its_job(parent: Path) -> None:
    named = parent / "checkpoints" / "step_00000200"
    config = _resumed(named)
    assert (config.model.name, config.resume) == ("gpt_pico", str(named))


def test_a_relative_path_becomes_absolute(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(parent.parent)
    assert _resumed(Path(parent.name)).resume == str(parent)


def test_stated_keys_win_even_at_their_defaults(parent: Path) -> None:
    config = _resumed(parent, "trainer.max_steps=400", "seed=1234")
    assert (config.trainer.max_steps, config.seed) == (400, 1234)
    assert config.optim.lr == 5e-4


def test_a_stated_group_wins_with_its_whole_section(parent: Path) -> None:
    config = _resumed(parent, "schedule=linear", "parallel=tp2_dp4")
    assert (config.schedule.decay, config.schedule.decay_steps) == ("linear", None)
    assert config.parallel.label == "tp2_dp4"
    dump(config, parent / "config.yaml")
    assert _resumed(parent, "parallel=tp2").parallel.label == "tp2"
    assert config.optim.weight_decay == 0.5


def test_a_stated_model_leaves_the_layernorm(parent: Path) -> None:
    assert _resumed(parent, "model=gpt_pico").model.layernorm.placement == "post"


def test_an_experiment_states_what_its_file_sets(parent: Path, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "longer.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /optim: paper\n"
        "trainer: {max_steps: 400}\nhydra: {sweep: {dir: x}}\n"
    )
    config = _resumed(parent, f"hydra.searchpath=[file://{tmp_path}]", "experiment=longer")
    assert config.trainer.max_steps == 400
    assert (config.optim.lr, config.optim.weight_decay) == (1.5e-4, 0.01)
    assert (config.trainer.global_batch_size, config.seed) == (8, 7)


def test_a_sweep_may_resume(parent: Path) -> None:
    planned = jobs([f"resume='{parent}'", "optim.lr=1e-3,2e-3"], multirun=True)
    assert [job.config.optim.lr for job in planned] == [1e-3, 2e-3]
    assert [job.name for job in planned] == [
        "000_gpt_pico-single-post-lr0.001-s7",
        "001_gpt_pico-single-post-lr0.002-s7",
    ]
    assert {job.config.optim.weight_decay for job in planned} == {0.5}


@pytest.mark.fault(26)
def test_another_network_or_vocabulary_is_refused(parent: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _resumed(parent, "model=gpt_nano", "tokenizer.vocab_size=1024", "layernorm=pre")
    assert [str(problem) for problem in caught.value.problems] == [
        "model.num_layers=4: 2 -> 4 cannot change over a resume",
        "model.hidden_size=192: 128 -> 192 cannot change over a resume",
        "model.layernorm.placement=pre: post -> pre cannot change over a resume",
        "tokenizer.vocab_size=1024: 2048 -> 1024 cannot change over a resume",
    ]


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.seq_length=64", "model.seq_length=64: 128 -> 64"),
        ("data.source=text", "data.source=text: sotu -> text"),
        ("model.ffn_hidden_size=256", "model.ffn_hidden_size=256: "),
        ("model.num_attention_heads=2", "model.num_attention_heads=2: 4 -> 2"),
        ("optim.lr=1e-3", None),
        ("trainer.max_steps=500", None),
        ("parallel=tp2", None),
    ],
)
def test_what_a_checkpoint_is_bound_to_is_refused_and_the_rest_taken(
    change: str, said: str | None, parent: Path
) -> None:
    if said is None:
        _resumed(parent, change)
        return
    with pytest.raises(ConfigError) as caught:
        _resumed(parent, change)
    expected = [str(problem) for problem in caught.value.problems]
    assert any(e.startswith(said) and "cannot change over a resume" in e for e in expected)


@pytest.mark.parametrize("steps", [100, 200])
def test_a_checkpoint_at_or_past_the_last_step_is_refused(parent: Path, steps: int) -> None:
    expected = "above 200, the step of the checkpoint that resume= names"
    for named in (parent, parent / "checkpoints" / "step_00000200"):
        with pytest.raises(ConfigError) as caught:
            _resumed(named, f"trainer.max_steps={steps}")
        assert [str(problem) for problem in caught.value.problems] == [
            f"trainer.max_steps={steps}: {expected}"
        ]
    assert _resumed(parent, "trainer.max_steps=201").trainer.max_steps == 201


def test_a_broken_parent_is_one_line(parent: Path) -> None:
    (parent / "config.yaml").write_text("typo: 3")
    with pytest.raises(ConfigError, match="typo=3: no such option"):
        _resumed(parent)


def test_a_missing_parent_is_one_line(parent: Path) -> None:
    with pytest.raises(ConfigError, match="resume=nowhere: no such job folder"):
        jobs(["resume=nowhere"])


def test_config_file(parent: Path) -> None:
    assert config_file(parent) == parent / "config.yaml"
    assert config_file(parent / "checkpoints" / "step_00000200") == parent / "config.yaml"
