from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from hydratron.config.model import LayerNormConfig
from hydratron.config.schema import Config
from hydratron.job import flatten
from hydratron.reporting.differences import (
    PARALLEL,
    SHAPE,
    combined,
    contexts,
    groups,
    shared,
    short_columns,
    varying,
)
from hydratron.reporting.factors import factors
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import MODELS, NANO, PICO, config


def run(cfg: Config, name: str = "job") -> Run:
    return Run(Path(name), flatten(asdict(cfg)))


def post(cfg: Config) -> Config:
    return replace(cfg, model=replace(cfg.model, layernorm=LayerNormConfig(placement="post")))


def test_varying_keys_are_dotted_and_in_configuration_order() -> None:
    runs = [run(config(PICO, 1, seed=1)), run(post(config(NANO, 2, seed=1)))]
    assert varying(runs) == [
        "model.name",
        "model.num_layers",
        "model.hidden_size",
        "model.init_std",
        "model.layernorm.placement",
        "parallel.tensor_model_parallel_size",
    ]
    assert shared(runs)["seed"] == "1"
    assert "model.name" not in shared(runs)


def test_prepared_data_is_derived_and_not_a_difference() -> None:
    runs = [run(config()), run(config())]
    runs[0].settings["data.prepared"] = "somewhere"
    assert varying(runs) == []


def test_short_columns_leave_out_what_follows_from_model_and_degree() -> None:
    runs = [run(config(model, dp=dp)) for model in MODELS for dp in (1, 2)]
    assert "trainer.micro_batch_size" in varying(runs)
    assert short_columns(runs) == {
        "model": ["gpt_pico", "gpt_pico", "gpt_nano", "gpt_nano", "gpt_micro", "gpt_micro"],
        "parallel": ["single", "dp2"] * 3,
    }


def test_the_weights_that_a_run_starts_from_say_its_tokenizer() -> None:
    runs = [run(config()), run(config())]
    for one, start in zip(runs, ("outputs/sweep/000_bert_nano-s1", None), strict=True):
        one.settings.update({"init_from": start, "tokenizer.path": f"{start}/tokenizer.json"})
    assert short_columns(runs) == {"init_from": ["000_bert_nano-s1", "null"]}
    (found,) = factors(runs)
    assert (found.key, found.others) == ("init_from", ("tokenizer.path",))


def test_a_micro_batch_or_depth_of_its_own_is_a_column() -> None:
    first, second = run(config()), run(config())
    second.settings["trainer.micro_batch_size"] = 2
    assert short_columns([first, second]) == {"micro_batch_size": ["4", "2"]}
    deeper = run(config())
    deeper.settings["model.num_layers"] = 8
    assert short_columns([first, deeper]) == {"num_layers": ["2", "8"]}


def test_bookkeeping_and_titles_that_clash() -> None:
    first, second = run(config()), run(config())
    second.settings.update({"optim.eps": 1e-6, "model.layernorm.eps": 1e-4, "logger.kind": "none"})
    # One model name with two values of model.layernorm.eps: the name does not explain it.
    assert list(short_columns([first, second])) == ["model.layernorm.eps", "optim.eps"]


def test_columns_as_one_label_leave_out_what_all_share() -> None:
    runs = [run(config(seed=1)), run(config(tp=2, seed=2)), run(post(config(seed=1)))]
    assert combined(short_columns(runs), 3) == [
        "placement pre, single, seed 1",
        "placement pre, tp2, seed 2",
        "placement post, single, seed 1",
    ]
    assert combined({}, 2) == ["", ""]


def test_a_short_title_says_what_it_is() -> None:
    first, second = run(config()), run(config())
    second.settings.update({"data.path": "x", "optim.name": "sgd"})
    assert list(short_columns([first, second])) == ["data.path", "optim.name"]


def test_groups_differ_in_nothing_but_the_ignored_keys() -> None:
    runs = [run(config(m, tp, seed=s)) for m in MODELS for tp in (1, 2) for s in (1, 2)]
    assert [len(g) for g in groups(runs, SHAPE)] == [3, 3, 3, 3]
    assert [len(g) for g in groups(runs, PARALLEL)] == [2] * 6
    found = groups(runs, SHAPE)
    assert contexts(found, SHAPE) == [
        "single, seed 1",
        "single, seed 2",
        "tp2, seed 1",
        "tp2, seed 2",
    ]
    assert contexts(found[:1], SHAPE) == [""]


def test_where_files_go_does_not_part_a_group() -> None:
    first, second = run(config()), run(config())
    second.settings.update(
        {"data.prepared": "x", "logger.kind": "none", "launch.threads_per_rank": 2}
    )
    assert len(groups([first, second], frozenset())) == 1
