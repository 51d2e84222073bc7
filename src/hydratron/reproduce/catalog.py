"""The artifacts of a checkout, `experiments/<name>/`, and their profiles as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

import hydratron
from hydratron.errors import ConfigError, HydratronError, Problem
from hydratron.job import JobFolder

PROFILES, CRITERIA, PILOT, ANALYZE = "profiles.yaml", "criteria.yaml", "pilot.csv", "analyze.py"
# What the runs of a profile leave in results/<profile>/; all else there follows from it.
CURVES, PROVENANCE = "curves.csv", "provenance.json"
# What a stage may do with its jobs.
TRAIN, PLAN, EVALUATE, MEASURE = "train", "plan", "evaluate", "measure"
# With which allocators what measures does so, unless it says: as it comes, and tuned for all.
ALLOCATORS = ("default", "tuned")


@dataclass(frozen=True)
class Stage:
    """One sweep, or several in one folder; `minutes` is what all its jobs take, if measured.

    Each entry of `sweeps` goes on from `overrides`.  `pilot` names models: each is one sweep more
    at the rate that the pilot found best for it.  `verb`: `hydratron train`, `plan` or `evaluate`.
    The jobs of a stage with an `owner` are those of that artifact, in its folder.  A stage that
    evaluates scores the jobs of the stage `of`; each of its sweeps is the flags of one task.  A
    stage that trains `of` another starts from its jobs (`reproduce.starting`).  One that measures
    has each group of `contenders` take turns of `steps` steps, `rounds` times, with each of the
    `allocators`.
    """

    name: str
    overrides: tuple[str, ...]
    sweeps: tuple[tuple[str, ...], ...] = ()
    pilot: tuple[str, ...] = ()
    minutes: float | None = None
    verb: str = TRAIN
    owner: str = ""
    of: str = ""
    contenders: tuple[str, ...] = ()
    steps: int = 0
    rounds: int = 0
    allocators: tuple[str, ...] = ALLOCATORS


@dataclass(frozen=True)
class Profile:
    """How large an artifact is run.

    `judged`: false for runs too small to say anything.  `gpus` and `paths` must be there.
    """

    name: str
    about: str
    stages: tuple[Stage, ...]
    judged: bool = True
    gpus: int = 0
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """A figure or table of the paper.

    `metrics` and `settings` are the columns of its curves.csv: logged metrics and config keys.
    """

    folder: Path
    title: str
    metrics: tuple[str, ...]
    settings: tuple[str, ...]
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    def profile(self, name: str) -> Profile:
        """Raises HydratronError for one that it does not have."""
        if name not in self.profiles:
            known = ", ".join(self.profiles)
            raise HydratronError(f"--profile {name}: {self.name} has no such profile; has: {known}")
        return self.profiles[name]

    def results(self, profile: str) -> Path:
        return self.folder / "results" / profile

    def criteria(self, profile: str) -> dict[str, Any]:
        """What criteria.yaml declares, with what it declares under `profiles` for this one."""
        content = _read(self.folder / CRITERIA)
        return content | (content.pop("profiles", {}).get(profile) or {})


def experiments_dir() -> Path:
    """`experiments/` of the working folder, else of the checkout that the package lies in.

    Raises HydratronError without a checkout.
    """
    checkout = Path(hydratron.__file__).resolve().parents[2]
    for folder in (Path("experiments"), checkout / "experiments"):
        if any(folder.glob(f"*/{PROFILES}")):
            return folder
    raise HydratronError(
        "reproduce needs a checkout: there is no experiments/ here; run it in a clone of hydratron"
    )


def artifacts(folder: Path) -> list[Artifact]:
    """Every artifact of `experiments/`, by name.  Raises HydratronError for an unreadable one."""
    return [read_artifact(path.parent) for path in sorted(folder.glob(f"*/{PROFILES}"))]


def find(name: str, known: list[Artifact]) -> Artifact:
    """By folder name, or by its first word where only one begins with it: `fig6`.

    Raises HydratronError.
    """
    exact = [a for a in known if a.name == name]
    short = [a for a in known if a.name.startswith(f"{name}_")]
    chosen = exact or short
    if len(chosen) != 1:
        names = ", ".join(a.name for a in known)
        raise HydratronError(f"{name}: no such artifact; artifacts: {names}")
    return chosen[0]


def is_results(folder: Path) -> bool:
    """Whether the folder is results/<profile>/ of an artifact."""
    whole = (folder / CURVES).is_file() and (folder / PROVENANCE).is_file()
    # A job in a folder of its own has its page beside it.
    return whole and not JobFolder(folder).config.exists()


def read_artifact(folder: Path) -> Artifact:
    """What profiles.yaml declares.  Raises ConfigError for keys it must or must not have."""
    file = folder / PROFILES
    content = _read(file)
    _check(file, "", content, needed={"title", "metrics", "profiles"}, optional={"settings"})
    profiles = {
        str(name): _profile(file, str(name), entry) for name, entry in content["profiles"].items()
    }
    settings = tuple(content.get("settings", ()))
    return Artifact(folder, content["title"], tuple(content["metrics"]), settings, profiles)


def _profile(file: Path, name: str, entry: dict[str, Any]) -> Profile:
    _check(file, name, entry, {"about", "stages"}, {"judged", "gpus", "paths"})
    stages = tuple(_stage(file, name, stage) for stage in entry["stages"])
    for place, stage in enumerate(stages):
        if stage.of and stage.of not in {before.name for before in stages[:place]}:
            problem = Problem(f"{file}: {name}.of", stage.of, "a stage before it")
            raise ConfigError([problem])
    return Profile(
        name,
        " ".join(entry["about"].split()),
        stages,
        entry.get("judged", True),
        entry.get("gpus", 0),
        tuple(entry.get("paths", ())),
    )


def _stage(file: Path, profile: str, entry: dict[str, Any]) -> Stage:
    if "jobs_of" in entry:
        return _shared(file, profile, entry)
    verb = entry.get("verb", TRAIN)
    if verb not in (TRAIN, PLAN, EVALUATE, MEASURE):
        known = f"{TRAIN}, {PLAN}, {EVALUATE} or {MEASURE}"
        raise ConfigError([Problem(f"{file}: {profile}.verb", verb, known)])
    turns = {"contenders", "steps", "rounds"} if verb == MEASURE else set()
    optional = {"sweeps", "pilot", "minutes", "verb", "of"}
    optional |= {"allocators"} if verb == MEASURE else set()
    _check(file, profile, entry, {"name", "overrides"} | turns, optional)
    if verb != TRAIN and (verb == EVALUATE) != ("of" in entry):
        expected = "the stage whose jobs are scored or started from; not of a plan or measurement"
        raise ConfigError([Problem(f"{file}: {profile}.of", entry.get("of", ""), expected)])
    return Stage(
        entry["name"],
        tuple(entry["overrides"]),
        tuple(tuple(sweep) for sweep in entry.get("sweeps", ())),
        tuple(entry.get("pilot", ())),
        entry.get("minutes"),
        verb,
        of=entry.get("of", ""),
        contenders=tuple(entry.get("contenders", ())),
        steps=entry.get("steps", 0),
        rounds=entry.get("rounds", 0),
        allocators=tuple(entry.get("allocators", ALLOCATORS)),
    )


def _shared(file: Path, profile: str, entry: dict[str, Any]) -> Stage:
    """A stage of another artifact, of the same name in the profile of the same name."""
    _check(file, profile, entry, {"name", "jobs_of"}, set())
    name, owner = entry["name"], read_artifact(file.parent.parent / entry["jobs_of"])
    stages = owner.profile(profile).stages
    found = next((stage for stage in stages if stage.name == name), None)
    if found is None:
        known = ", ".join(stage.name for stage in stages)
        problem = Problem(f"{file}: {profile}.name", name, f"stages of {owner.name}: {known}")
        raise ConfigError([problem])
    return replace(found, owner=owner.name)


def _check(file: Path, where: str, content: Any, needed: set[str], optional: set[str]) -> None:
    keys = set(content) if isinstance(content, dict) else set()
    wrong = [(key, "is missing") for key in sorted(needed - keys)]
    wrong += [(key, "no such key") for key in sorted(keys - needed - optional)]
    place = f"{file}: {where}." if where else f"{file}: "
    if wrong:
        raise ConfigError([Problem(f"{place}{key}", "", reason) for key, reason in wrong])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HydratronError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise HydratronError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise HydratronError(f"{path}: key: value lines are expected")
    return content
