"""What a person may type after `hydratron train`, and the one line that answers a mistake."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.config.keys import nearest, options
from hydratron.config.overrides import parse, searchpath, values
from hydratron.errors import ConfigError

GROUPS = {
    "model": ["gpt2_2.5b", "gpt_nano", "gpt_pico"],
    "parallel": ["single", "tp2"],
    "layernorm": ["post", "pre"],
    "experiment": ["demo", "figures/fig7"],
}


@pytest.mark.parametrize(
    "line",
    [
        "model=gpt2_2.5b",
        "model=gpt_nano,gpt_pico",
        "model=glob(gpt_*)",
        "experiment=figures/fig7",
        "trainer.max_steps=3",
        "++trainer.max_steps=3",
        "seed=range(0,4)",
        "optim.lr=interval(1e-4,1e-2)",
        "optim.lr=1",
        "model.layernorm.placement=post",
        "logger.tags=[a,b]",
        "logger.entity=null",
        "data.path='a=b, c'",
        "trainer.val_every_n_steps=${trainer.max_steps}",
        "hydra/launcher=joblib",
        "hydra.sweep.dir=x",
        "+hydra.callbacks.mine._target_=a.b",
        "~hydra.callbacks",
    ],
)
def test_meant_overrides_pass(line: str) -> None:
    assert [override.input_line for override in parse([line], GROUPS)] == [line]


@pytest.mark.fault(40, 41)
@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("modl=gpt_nano", "modl=gpt_nano: no such option; nearest: model=gpt2_2.5b|gpt_nano|"),
        ("model=gpt_nanoo", "model=gpt_nanoo: no such choice; nearest: gpt_nano; choices: gpt2_2"),
        ("model=gpt_nano,gpt_pic", "model=gpt_pic: no such choice; nearest: gpt_pico"),
        ("model=glob(x*)", "model=glob(x*): matches none of"),
        ("model=null", "model=null: no such choice"),
        ("model={a: 1}", "model={'a': 1}: no such choice"),
        ("+typo=1", "+typo=1: no such option; nearest: "),
        ("typo=1", "typo=1: no such option; nearest: "),
        (
            "++trainer.max_stepz=3",
            "++trainer.max_stepz=3: no such option; nearest: trainer.max_",
        ),
        ("max_steps=3", "max_steps=3: no such option; nearest: trainer.max_"),
        (
            "layernorm.placement=pre",
            "layernorm.placement=pre: no such option; nearest: model.l",
        ),
        ("~model.foo", "~model.foo: no such option"),
        ("~seed", "~seed: an option cannot be removed; set it instead"),
        ("~model", "~model: an option cannot be removed; set it instead"),
        ("+seed=3", "+seed=3: seed exists; write it without the +"),
        ("+model=gpt_nano", "+model=gpt_nano: model exists; write it without the +"),
        ("model@other=gpt_nano", "model@other=gpt_nano: "),
        ("experiment=demo,null", "experiment=null: a choice is expected; leave the key out for"),
        ("model.layernorm=post", "model.layernorm=post: holds several options; set one of them"),
        ("trainer.max_steps=abc", "trainer.max_steps=abc: an integer is expected: optimizer steps"),
        ("trainer.max_steps=1.5", "trainer.max_steps=1.5: an integer is expected"),
        ("trainer.max_steps=null", "trainer.max_steps=null: an integer is expected"),
        ("trainer.peak_flops=x", "trainer.peak_flops=x: a number or null is expected"),
        ("trainer.max_steps=0", "trainer.max_steps=0: must be at least 1"),
        ("model.recompute=maybe", "model.recompute=maybe: choices: none, attention, mlp, layer"),
        ("plan.full=maybe", "plan.full=maybe: true or false is expected"),
        ("trainer.precision=fp8", "trainer.precision=fp8: choices: fp32, bf16, fp16"),
        ("optim.lr=nan", "optim.lr=nan: a number is expected"),
        ("optim.lr=interval(-1,1)", "optim.lr=-1.0: must be above 0"),
        ("seed=1,2,x", "seed=x: an integer is expected"),
        ("logger.tags=a", "logger.tags=a: a list of texts, e.g. [a,b] is expected"),
        ("a==b", "a==b: cannot be read; a value with = , or brackets needs quotes"),
        ("data.path=a=b", "data.path=a=b: cannot be read; a value"),
        ("seed=[1", "seed=[1: cannot be read"),
        ("seed", "seed: an override is KEY=VALUE, without spaces around the ="),
        ("=", "=: an override is KEY=VALUE"),
        ("=3", "=3: an override is KEY=VALUE"),
        ("", ": an override is KEY=VALUE"),
        ("seed =3", "seed =3: cannot be read"),
        ("logger.api_key=hunter2", "logger.api_key=***: no such option; secrets belong in the env"),
        ("wandb_token=[hunter2", "wandb_token=***: cannot be read"),
    ],
)
def test_each_mistake_is_one_line(line: str, answer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse([line], GROUPS)
    assert str(caught.value).startswith(answer)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@settings(deadline=None, max_examples=50)
@given(st.text(st.sampled_from("=,[]{}()'\"~+@.:/\\$ abmodelseed_range1e-é"), max_size=24))
def test_anything_typed_is_meant_or_refused(text: str) -> None:
    for line in (text, f"seed={text}", f"model={text}", f"logger.tags={text}"):
        with contextlib.suppress(ConfigError):
            for override in parse([line], GROUPS):
                assert override.key_or_group


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(["modl=x", "seed=x", "optim.lr=-1", "model=gpt_pico", "a=["], GROUPS)
    assert [problem.key for problem in caught.value.problems] == ["modl", "seed", "optim.lr", "a"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("seed=3", [3]),
        ("seed=1,2", [1, 2]),
        ("seed=range(0,3)", [0, 1, 2]),
        ("data.path='a','b'", ["a", "b"]),
        ("model=glob(*pico)", ["gpt_pico"]),
        ("optim.lr=interval(1,2)", [1.0, 2.0]),
    ],
)
def test_values_of_a_sweep(line: str, expected: list[Any]) -> None:
    assert list(values(parse([line], GROUPS)[0], GROUPS["model"])) == expected


def test_searchpath() -> None:
    assert searchpath(["seed=1"]) == []
    assert searchpath(["hydra.searchpath=[file:///a,b]"]) == ["file:///a", "b"]
    with pytest.raises(ConfigError, match="cannot be read"):
        searchpath(["hydra.searchpath=[a"])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("trainer.max_stepz", "trainer.max_steps"),
        ("lr", "optim.lr"),
        ("model.lr", "optim.lr"),
        ("modl.num_layers", "model.num_layers"),
        ("placement", "model.layernorm.placement"),
        ("optimizer.lr", "optim.lr"),
        ("warmup", "schedule.warmup_steps"),
        ("heads", "model.num_attention_heads"),
        ("qqqqqqq", None),
    ],
)
def test_nearest(word: str, expected: str | None) -> None:
    assert nearest(word, options()) == expected


def test_nearest_always_answers_when_asked() -> None:
    assert nearest("qqqqqqq", options(), always=True) in options()
