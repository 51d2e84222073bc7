from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import yaml

from hydratron.config.folders import conf_dir
from hydratron.errors import HydratronError
from hydratron.reproduce.catalog import (
    Artifact,
    Profile,
    Stage,
    artifacts,
    experiments_dir,
    find,
    read_artifact,
)
from hydratron.reproduce.stages import plan_stages

CHECKOUT = conf_dir().parent / "experiments"
MINIMAL = {
    "title": "A title",
    "metrics": ["val/loss"],
    "profiles": {"small": {"about": "few\nsteps", "stages": [{"name": "a", "overrides": []}]}},
}
# An encoder that the reader brings, as far as planning looks at it.
ENCODER = json.dumps(
    {"model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6,
     "num_attention_heads": 12, "intermediate_size": 1536, "max_position_embeddings": 512}
)  # fmt: skip
STAGE: dict[str, object] = {"name": "a", "overrides": []}


def write(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "profiles.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_a_profile_as_data(tmp_path: Path) -> None:
    artifact = read_artifact(write(tmp_path / "fig9_thing", MINIMAL))
    profile = artifact.profile("small")
    assert (artifact.name, artifact.title, artifact.settings) == ("fig9_thing", "A title", ())
    assert (profile.about, profile.judged, profile.gpus) == ("few steps", True, 0)
    assert profile.stages == (Stage("a", ()),)
    assert artifact.results("small") == tmp_path / "fig9_thing/results/small"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": None, "tilte": "x"}, r"profiles.yaml: tilte: no such key"),
        ({"profiles": {"small": {"about": "x"}}}, r"profiles.yaml: small.stages: is missing"),
        (
            {"profiles": {"s": {"about": "x", "stages": [{"name": "a"}]}}},
            r"profiles.yaml: s.overrides: is missing",
        ),
        (
            {"profiles": {"s": {"about": "x", "gpu": 1, "stages": []}}},
            r"profiles.yaml: s.gpu: no such key",
        ),
        (
            {"profiles": {"s": {"about": "x", "stages": [STAGE | {"verb": "sing"}]}}},
            r"profiles.yaml: s.verb=sing: train, plan, evaluate or measure$",
        ),
    ],
)
def test_wrong_keys_are_named(change: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(HydratronError, match=message):
        read_artifact(write(tmp_path / "a", MINIMAL | change))


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n"])
def test_a_file_that_is_no_mapping_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text(text)
    with pytest.raises(HydratronError, match=re.escape("profiles.yaml: ")) as raised:
        read_artifact(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_stage_trains_unless_it_says_plan(tmp_path: Path) -> None:
    stages = [STAGE, STAGE | {"verb": "train"}, STAGE | {"verb": "plan"}]
    profiles = {"small": {"about": "x", "stages": stages}}
    artifact = read_artifact(write(tmp_path / "a", MINIMAL | {"profiles": profiles}))
    found = [stage.verb for stage in artifact.profile("small").stages]
    assert found == ["train", "train", "plan"]


def test_names_and_short_names(tmp_path: Path) -> None:
    for name in ("fig6_a", "fig7_a", "fig7_b", "fig7"):
        write(tmp_path / name, MINIMAL)
    known = artifacts(tmp_path)
    assert find("fig6", known).name == "fig6_a"
    assert find("fig6_a", known).name == "fig6_a"
    assert find("fig7", known).name == "fig7"
    with pytest.raises(HydratronError, match=r"fig: no such artifact; artifacts: fig6_a, fig7,"):
        find("fig", known)
    with pytest.raises(HydratronError, match="no such artifact"):
        find("fig7", [a for a in known if a.name != "fig7"])


def test_an_unknown_profile_names_the_known_ones(tmp_path: Path) -> None:
    artifact = read_artifact(write(tmp_path / "a", MINIMAL))
    with pytest.raises(HydratronError, match="--profile big: a has no such profile; has: small"):
        artifact.profile("big")


def test_the_working_folder_comes_first_and_no_checkout_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert experiments_dir().resolve() == CHECKOUT
    write(tmp_path / "experiments" / "a", MINIMAL)
    assert experiments_dir().resolve() == tmp_path / "experiments"
    (tmp_path / "experiments" / "a" / "profiles.yaml").unlink()
    monkeypatch.setattr("hydratron.__file__", str(tmp_path / "a/b/c/__init__.py"))
    with pytest.raises(HydratronError, match="needs a checkout"):
        experiments_dir()


@pytest.mark.parametrize("artifact", artifacts(CHECKOUT), ids=lambda a: a.name)
def test_every_profile_of_the_checkout_is_valid(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scales = ("smoke", "small", "long", "cpu", "gpu", "paper")
    assert list(artifact.profiles) == [name for name in scales if name in artifact.profiles]
    assert not artifact.profiles["smoke"].judged
    for profile in artifact.profiles.values():
        for path in map(Path, profile.paths):  # Text that the reader brings.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(ENCODER if path.name == "config.json" else "One. Two.")
        for path in labelled(profile):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert artifact.criteria(profile.name)["claims"]
        piloted = any(stage.pilot for stage in profile.stages)
        if not piloted or (artifact.folder / "pilot.csv").exists():
            stages = plan_stages(artifact, of_one_seed(profile))
            assert all(stage.count or stage.waiting for stage in stages)


def labelled(profile: Profile) -> Iterator[Path]:
    """What its stages name besides, as one file or several."""
    for stage in profile.stages:
        for override in chain(stage.overrides, *stage.sweeps):
            key, _, values = override.partition("=")
            if key == "data.path":
                yield from map(Path, values.split(","))


def of_one_seed(profile: Profile) -> Profile:
    """Every job but for its further seeds and folds, which would take most of the time."""

    def first(override: str) -> str:
        several = override.startswith(("seed=", "data.path="))
        return override.partition(",")[0] if several else override

    stages = [
        replace(
            stage,
            overrides=tuple(map(first, stage.overrides)),
            sweeps=tuple(tuple(map(first, sweep)) for sweep in stage.sweeps),
        )
        for stage in profile.stages
    ]
    return replace(profile, stages=tuple(stages))
