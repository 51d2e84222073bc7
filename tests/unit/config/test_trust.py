"""Configurations and commands that may not be trusted: YAML bombs, secrets, a stranger's parent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from hydratron.cli.parser import complain
from hydratron.config import plain_yaml
from hydratron.config.canaries import refuse
from hydratron.config.load import dump, load
from hydratron.config.plan import jobs
from hydratron.config.resume import left_behind
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, HydratronError
from hydratron.evaluation import checkpoints
from hydratron.interop import own
from hydratron.job import JobFolder
from hydratron.reporting.records import Run, read_run
from tests.helpers.jobs import checkpoint

pytestmark = pytest.mark.fault
CANARY = "0123456789abcdef-canary"

DOUBLED = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
BOMBS = {
    "aliases": "a0: &a0 [x, x]\n" + DOUBLED,
    "levels": "a: " + "[" * 3000 + "]" * 3000,
    "keys": "".join(f"k{n}: 1\n" for n in range(300_000)),
    "values": "a: [" + "1," * 400_000 + "]",
    "merge": "base: &b {seed: 1}\nmodel:\n  <<: *b\n",
    "object": "seed: !!python/object/apply:os.system ['touch marker']\n",
}


@pytest.mark.fault(42, 48)
@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_hostile_yaml_is_refused_in_one_line_and_soon(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError, match="not YAML") as caught:
        load(tmp_path / "config.yaml")
    assert time.process_time() - began < 5.0
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
    assert not (tmp_path / "marker").exists()


GADGETS = (
    "os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "builtins.__import__",
    "pickle.loads", "shutil.rmtree", "runpy.run_path", "hydra.utils.instantiate", "torch.load",
    "importlib.import_module",
)  # fmt: skip


@pytest.mark.fault(42)
@pytest.mark.parametrize("gadget", GADGETS)
def test_no_target_of_a_configuration_is_called(gadget: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    call = f"{{_target_: {gadget}, _args_: ['touch {marker}'], _partial_: false}}"
    for text in (
        f"model: {call}\n",
        f"optim: {{lr: {call}}}\n",
        f"model: {{layernorm: {{norm: {call}}}}}\n",
        f"logger: {{tags: [{call}]}}\n",
        call,
    ):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"no such option|is expected"):
            load(tmp_path / "config.yaml")
    assert not marker.exists()


@pytest.mark.fault(48)
@pytest.mark.parametrize("reader", [own.config_of, checkpoints.opened])
@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_checkpoints_own_configuration_is_read_alike(
    text: str, reader: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("checkpoint.folder", "evaluation.checkpoints"):
        monkeypatch.setattr(f"hydratron.{module}.config_text", lambda path: text)
    monkeypatch.setattr(checkpoints, "manifest_files", lambda path: ())
    monkeypatch.setattr(checkpoints, "check_sizes", lambda path: None)
    with pytest.raises(HydratronError, match="not YAML") as caught:
        reader(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.fault(48)
def test_the_page_reads_no_bomb_either_and_ours_is_far_below(tmp_path: Path) -> None:
    dump(Config(), tmp_path / "config.yaml")
    assert isinstance(read_run(tmp_path), Run)
    text = (tmp_path / "config.yaml").read_text()
    assert plain_yaml.read(text) == yaml.safe_load(text)
    (tmp_path / "config.yaml").write_text(BOMBS["aliases"])
    with pytest.raises(Exception, match="an alias"):
        read_run(tmp_path)


@pytest.mark.fault(40)
def test_a_secret_is_refused_by_value_by_interpolation_and_by_its_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = {"WANDB_API_KEY": CANARY, "HOME": "/home/somebody", "MY_TOKEN": "short"}
    monkeypatch.setenv("WANDB_API_KEY", CANARY)

    def answer(*overrides: str) -> str:
        typed = overrides if "${" not in overrides[0] else ()
        configs = [job.config for job in jobs(overrides)]
        with pytest.raises(ConfigError) as caught:
            refuse(typed, configs, environment)
        assert CANARY not in str(caught.value)
        return str(caught.value)

    by_name = "holds the value of $WANDB_API_KEY; secrets belong in the environment"
    assert answer(f"logger.entity={CANARY}").startswith(f"logger.entity=***: {by_name}")
    assert answer(f"logger.tags=[a,x{CANARY}y]").startswith(f"logger.tags=***: {by_name}")
    swept = "logger.entity=${oc.env:WANDB_API_KEY}"
    assert answer(swept).startswith(f"logger.entity=***: {by_name}")
    for value in ("hf_" + "a1" * 16, "ghp_" + "a1" * 16, "https://me:hunter2@host/x"):
        assert answer(f"logger.project='{value}'") == (
            "logger.project=***: looks like a secret; secrets belong in the environment, "
            "not here: this would be written into files"
        )
    refuse(["logger.entity=short", "data.path=/home/somebody/x"], [Config()], environment)


@pytest.mark.fault(50)
def test_a_strangers_parent_brings_its_training_alone(tmp_path: Path) -> None:
    parent = JobFolder(tmp_path)
    checkpoint(parent, 200)
    config = jobs(["model=gpt_pico", "seed=7"])[0].config
    config.trainer.max_steps = 300
    config.logger.entity, config.logger.mode = "stranger", "online"
    config.launch.rendezvous, config.data.cache_dir = "host.of.theirs:1", "/theirs"
    dump(config, parent.config)
    resumed = jobs([f"resume='{parent.path}'"])[0].config
    assert (resumed.model.name, resumed.seed) == ("gpt_pico", 7)
    assert (resumed.logger.entity, resumed.logger.mode) == (None, "offline")
    assert (resumed.launch.rendezvous, resumed.data.cache_dir) == (None, "outputs/cache")
    assert left_behind([resumed]) == [
        "data.cache_dir=/theirs", "logger.mode=online", "logger.entity=stranger",
        "launch.rendezvous=host.of.theirs:1",
    ]  # fmt: skip
    with mock.patch("hydratron.config.resume.load", return_value=resumed) as read:
        assert left_behind([resumed] * 3) == []
    assert read.call_count == 1  # The jobs of a sweep have one parent.
    named = jobs([f"resume='{parent.path}'", "logger.entity=stranger"])[0].config
    assert named.logger.entity == "stranger"


@pytest.mark.fault(58)
def test_escape_codes_are_shown_and_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    complain("job \x1b[2J\x07 failed\x9b1m, é and 漢 are fine")
    assert capsys.readouterr().err == (
        "hydratron: job \\x1b[2J\\x07 failed\\x9b1m, é and 漢 are fine\n"
    )
