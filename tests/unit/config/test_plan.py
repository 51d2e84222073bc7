"""From a command's overrides to its jobs: sweeps, names, folders, refusals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hydratron.config.command import Command
from hydratron.config.plan import default_choices, jobs, plan
from hydratron.errors import HydratronError
from hydratron.job import VALID_NAME

TIME = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _creates_nothing(_elsewhere: None, tmp_path: Path) -> object:
    yield
    assert [path for path in tmp_path.iterdir() if path.name != "conf"] == []


def _names(planned: Command) -> list[str]:
    return [job.name for job in planned.jobs]


def _refusal(*overrides: str, multirun: bool = False) -> str:
    with pytest.raises(HydratronError) as caught:
        plan(overrides, multirun)
    return str(caught.value)


def test_a_single_run_is_a_sweep_of_one() -> None:
    planned = plan([])
    assert _names(planned) == ["000_gpt_nano-single-pre-s1234"]
    assert re.fullmatch(f"outputs/{TIME}", str(planned.folder))
    assert planned.fresh
    assert not planned.multirun
    assert planned.job_folders(Path("a")) == [Path("a/000_gpt_nano-single-pre-s1234")]
    place = "hydra.run.dir='a/000_gpt_nano-single-pre-s1234'"
    assert planned.arguments([], Path("a")) == ["hydra.mode=RUN", place]


def test_a_sweep_is_the_product_in_hydras_order() -> None:
    planned = plan(["model=gpt_pico,gpt_nano", "seed=1,2", "layernorm=post"], multirun=True)
    assert _names(planned) == [
        "000_gpt_pico-single-post-s1",
        "001_gpt_pico-single-post-s2",
        "002_gpt_nano-single-post-s1",
        "003_gpt_nano-single-post-s2",
    ]
    assert planned.jobs[3].overrides == ["model=gpt_nano", "seed=2", "layernorm=post"]
    assert planned.jobs[3].config.model.hidden_size == 192
    arguments = planned.arguments(["seed=1,2"], Path("a b"))
    assert (arguments[:2], arguments[-1]) == (["--multirun", "seed=1,2"], "hydra.sweep.dir='a b'")
    assert planned.sweep()[3] == [
        *("model=gpt_nano", "seed=2", "layernorm=post"),
        "hydra.sweep.subdir='003_gpt_nano-single-post-s2'",
    ]


@pytest.mark.parametrize("multirun", [True, False])
def test_the_demo_sweeps_with_and_without_the_flag(multirun: bool) -> None:
    planned = plan(["experiment=demo"], multirun)
    assert planned.multirun
    assert not planned.fresh
    assert planned.folder == Path("outputs/demo")
    assert _names(planned) == [
        "000_gpt_pico-single-pre-s1234",
        "001_gpt_pico-tp2-pre-s1234",
        "002_gpt_nano-single-pre-s1234",
        "003_gpt_nano-tp2-pre-s1234",
        "004_gpt_micro-single-pre-s1234",
        "005_gpt_micro-tp2-pre-s1234",
    ]
    assert {job.config.tokenizer.vocab_size for job in planned.jobs} == {1024}


def test_the_command_line_wins_over_an_experiment() -> None:
    planned = plan(["experiment=demo", "model=gpt_mini", "trainer.max_steps=60", "seed=range(0,2)"])
    assert [job.name.partition("_")[2] for job in planned.jobs] == [
        "gpt_mini-single-pre-s0",
        "gpt_mini-single-pre-s1",
        "gpt_mini-tp2-pre-s0",
        "gpt_mini-tp2-pre-s1",
    ]
    assert {job.config.trainer.max_steps for job in planned.jobs} == {60}


def test_names_are_safe_and_distinct() -> None:
    names = _names(plan(["model=gpt2_2.5b", "seed=1,1", "parallel=tp2"], multirun=True))
    assert names == ["000_gpt2_2.5b-tp2-pre-s1", "001_gpt2_2.5b-tp2-pre-s1"]
    assert all(VALID_NAME.fullmatch(name) for name in names)


def test_jobs_that_share_their_files_differ_in_their_options() -> None:
    lines = ["optim.lr=1e-3,2e-3", "schedule.min_lr=${optim.lr}", "++seed=5"]
    rates = [job.config.optim.lr for job in jobs(lines, multirun=True)]
    assert rates == [1e-3, 2e-3]
    assert [job.config.schedule.min_lr for job in jobs(lines, multirun=True)] == rates


def test_hydras_folders_are_honoured() -> None:
    own = plan(["hydra.run.dir=here/it is"])
    assert (own.folder, own.own_folder, own.fresh) == (Path("here/it is"), True, False)
    assert own.job_folders(own.folder) == [Path("here/it is")]
    assert own.place(own.folder) == "hydra.run.dir='here/it is'"
    sweep = plan(["hydra.sweep.dir=there/${model.name}"], multirun=True)
    assert (sweep.folder, sweep.fresh) == (Path("there/gpt_nano"), False)
    mine = plan(["hydra.sweep.subdir=s${seed}", "seed=3,4"], multirun=True)
    assert _names(mine) == ["s3", "s4"]
    chosen = plan(["hydra.run.dir=o/${hydra:runtime.choices.model}"])
    assert chosen.folder == Path("o/gpt_nano")


def test_home_is_where_the_shell_would_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert plan(["hydra.run.dir='~/one'"]).folder == Path("/home/me/one")
    assert plan(["hydra.sweep.dir='~/all'"], multirun=True).folder == Path("/home/me/all")


def test_a_quote_in_a_folder_survives() -> None:
    planned = plan(['hydra.sweep.dir="it\'s"'], multirun=True)
    arguments = planned.arguments([], planned.folder)
    assert plan(arguments[1:], multirun=True).folder == Path("it's")


def test_a_sweep_needs_the_flag() -> None:
    assert _refusal("seed=1,2") == "seed=1,2: several values: add -m to sweep"
    assert "hydra's own keys cannot be swept" in _refusal("hydra.sweep.dir=a,b", multirun=True)


@pytest.mark.parametrize(
    ("lines", "multirun", "answer"),
    [
        (["hydra.run.dir=a", "seed=1,2"], True, "hydra.run.dir=a: the jobs of a sweep go to hydra"),
        (["hydra.sweep.dir=a"], False, "hydra.sweep.dir=a: a single job goes to hydra.run.dir="),
        (
            ["experiment=demo", "hydra.run.dir=a", "seed=1,2"],
            False,
            "seed=1,2: several values: add",
        ),
    ],
)
def test_a_folder_that_would_not_be_used_is_refused(
    lines: list[str], multirun: bool, answer: str
) -> None:
    assert _refusal(*lines, multirun=multirun).startswith(answer)


def test_jobs_need_folders_of_their_own() -> None:
    answer = _refusal("hydra.sweep.subdir=same", "seed=1,2", multirun=True)
    assert answer == "hydra.sweep.subdir=same: the same folder for 2 jobs"


@pytest.mark.parametrize("name", ["../x", "/x${seed}", ".", "~/x", "a/${seed}"])
def test_jobs_of_a_sweep_go_into_its_folder(name: str) -> None:
    answer = _refusal(f"hydra.sweep.subdir='{name}'", "seed=1", multirun=True)
    assert answer.endswith(": one folder in that of the sweep, without /, is expected")
    assert _names(plan(["hydra.sweep.subdir='.a${seed}'"], multirun=True)) == [".a1234"]


def test_experiments_that_sweep_are_not_swept() -> None:
    """Each would be one job, of its base configuration."""
    reason = "sweeps by itself (hydra.sweeper.params), which cannot be swept; give each a command"
    assert _refusal("experiment=demo,fig7", multirun=True).splitlines() == [
        f"experiment=demo: {reason}",
        f"experiment=fig7: {reason}",
    ]


def test_problems_of_all_jobs_are_named_once() -> None:
    batch = ["trainer.global_batch_size=9", "trainer.micro_batch_size=8"]
    lines = ["model=gpt_pico,gpt_mini", "parallel=tp8", "seed=1,2", *batch]
    answer = _refusal(*lines, multirun=True).splitlines()
    assert len(answer) == 2
    assert answer[0].startswith("parallel.tensor_model_parallel_size=8: does not divide model.num_")
    assert answer[1].startswith("trainer.global_batch_size=9: not divisible by trainer.micro_batch")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("hydra.sweepr.dir=x", "Could not override 'hydra.sweepr.dir'."),
        ("hydra/launcher=joblibb", "Could not find 'hydra/launcher/joblibb'"),
        ("trainer.max_steps=${trainer.foo}", "trainer.max_steps: Interpolation key 'trainer.foo'"),
        ("trainer.max_steps=${model.name}", "could not be converted to Integer"),
        ("trainer.max_steps=${oops:1}", "oops"),
        (
            "+hydra.sweeper.params.seed='1,2'",
            "+hydra.sweeper.params.seed='1,2': what is null takes",
        ),
        ("hydra.sweeper.params={seed: '1,2'}", "hydra.sweeper.params={seed: '1,2'}: what is null"),
    ],
)
def test_what_hydra_says_is_one_line(line: str, answer: str) -> None:
    said = _refusal(line)
    assert answer in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            "trainer: {max_stepz: 3}",
            "trainer.max_stepz: no such option (in 'experiment/mine')",
        ),
        ("trainer: {max_steps: abc}", "trainer.max_steps: Value 'abc' of type 'str' could not be"),
        ("trainer: [", "not YAML: "),
        ("hydra: {sweeper: {params: {modl: 'a,b'}}}", "modl=a,b: no such option; nearest: model="),
        ("hydra: {sweeper: {params: {seed: '1,x'}}}", "seed=x: an integer is expected"),
        ("defaults: [{override /model: gpt_nanoo}]", "Could not find 'model/gpt_nanoo'"),
    ],
)
def test_mistakes_in_files_are_one_line(
    text: str, answer: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("conf")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    said = _refusal(f"hydra.searchpath=[file://{folder}]", "experiment=mine", multirun=True)
    assert answer in said
    assert "\n" not in said


def test_hosts_must_share_a_folder() -> None:
    lines = ["launch=torchrun", "launch.nodes=2", "launch.rendezvous=a:1", "parallel=tp2"]
    assert _refusal(*lines).startswith("hydra.run.dir: every host must name the same folder")
    assert not plan([*lines, "hydra.run.dir=x"]).fresh


def test_only_the_base_of_an_open_ended_sweep_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydratron.config.plan.BASIC", "another")
    planned = plan(["seed=1,2", "optim.lr=interval(1e-4,1e-2)", "model=gpt_pico"], multirun=True)
    assert planned.open_ended
    assert len(planned.jobs) == 1
    assert planned.sweep() == []
    subdir = "hydra.sweep.subdir='${hydratron_job:seed,optim.lr}'"
    assert planned.arguments([], Path("a")) == ["--multirun", subdir, "hydra.sweep.dir='a'"]


def test_default_choices() -> None:
    assert default_choices()["model"] == "gpt_nano"
    assert "experiment" not in default_choices()


def test_a_wrong_value_does_not_hide_what_is_wrong_elsewhere() -> None:
    said = _refusal(
        "optim.lr=-1", "seed=x", "model.num_attention_heads=5", "schedule.min_lr=0.01",
        "trainer.global_batch_size=7", "trainer.micro_batch_size=8",
    ).splitlines()  # fmt: skip
    keys = [line.partition("=")[0] for line in said]
    # No word on min_lr: how it compares with a rate that was refused, nobody knows.
    assert keys == [
        "optim.lr", "seed", "model.num_attention_heads", "trainer.global_batch_size",
    ]  # fmt: skip
