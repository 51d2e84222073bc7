"""Every job of a command, composed and validated before anything is created."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from hydratron.config import folders
from hydratron.config import overrides as grammar
from hydratron.config.command import BASIC, RUN_DIR, SUBDIR, SWEEP_DIR, Command, PlannedJob
from hydratron.config.compose import (
    Composer,
    composer,
    config_of,
    explained,
    label_of,
    stated,
)
from hydratron.config.keys import options
from hydratron.config.naming import Label
from hydratron.config.schema import Config
from hydratron.config.sweeps import Sweep
from hydratron.config.validate import problems
from hydratron.errors import ConfigError, Problem

SWEEPER, LAUNCHER = "hydra/sweeper", "hydra/launcher"


@dataclass(frozen=True)
class Naming:
    """The pattern of the jobs' folders, where Hydra looks for it, and what the sweep varies.

    `job` is the part of the pattern that stands for the job's label.
    """

    where: str
    pattern: str
    job: str
    keys: tuple[str, ...]

    @classmethod
    def of(cls, base: DictConfig, multirun: bool, keys: tuple[str, ...]) -> Naming:
        where = SUBDIR if multirun else RUN_DIR
        section, _, name = where.rpartition(".")
        raw = OmegaConf.to_container(OmegaConf.select(base, section), resolve=False)
        assert isinstance(raw, dict)
        named = "".join(["${hydratron_job:", ",".join(keys), "}"])
        return cls(where, str(raw[name]).replace("${hydratron_job:}", named), named, keys)

    def name(self, composed: DictConfig, label: Label) -> str:
        """Of one job; raises HydratronError for a pattern that cannot be read."""
        known = str(label).replace("${", r"\${")
        try:
            with read_write(composed.hydra):
                OmegaConf.update(composed, self.where, self.pattern.replace(self.job, known))
            return str(OmegaConf.select(composed, self.where))
        except OmegaConfBaseException as error:
            raise explained(error) from None


def jobs(overrides: Sequence[str], multirun: bool = False) -> list[PlannedJob]:
    """The validated jobs of a command.  Raises ConfigError with all problems of all jobs."""
    return plan(overrides, multirun).jobs


def plan(overrides: Sequence[str], multirun: bool = False) -> Command:
    """The validated jobs of a command and their folder; creates nothing.

    Raises ConfigError with all problems of all jobs, or HydratronError with the one line of what
    only Hydra knows (its own keys, files that it cannot read).
    """
    with composer() as hydra:
        places = folders.search_folders(grammar.searchpath(overrides))
        _refuse_shadowed(places)
        groups = folders.groups(places)
        typed, refused = _parse(overrides, groups)
        own = [override for override in typed if grammar.is_hydra(override)]
        asked = [override for override in typed if not grammar.is_hydra(override)]
        settled = [override for override in asked if not override.is_sweep_override()]
        _refuse([o for o in own if o.is_sweep_override()], "hydra's own keys cannot be swept")
        base = hydra.compose([*own, *settled])
        multirun = multirun or _sweeps(base, own)
        _refuse_folder(own, multirun)
        if not multirun:
            _refuse([o for o in asked if o.is_sweep_override()], "several values: add -m to sweep")
        params = _sweeper_params(base, groups) if multirun else []
        open_ended = multirun and base.hydra.runtime.choices[SWEEPER] != BASIC
        sweep = Sweep.of([*params, *asked], groups)
        products = [settled] if open_ended else sweep.product(shared=base.launch.nodes > 1)
        naming = Naming.of(base, multirun, sweep.keys)
        products = [[*own, *product] for product in products]
        planned = _plan_jobs(hydra, products, naming, refused, _params(base))
    return _placed(planned, base, multirun, open_ended, naming.pattern)


def _refuse_shadowed(places: Sequence[Path]) -> None:
    """Raise ConfigError for files that would be passed over in silence."""
    expected = "a file of this name comes before it; give yours another name"
    found = [Problem(str(file), "", expected) for file in folders.shadowed(places)]
    if found:
        raise ConfigError(found)


def _sweeps(base: DictConfig, own: Sequence[Override]) -> bool:
    """Whether a command without -m is a sweep: an experiment says so, and no folder of one job."""
    one = any(override.key_or_group == RUN_DIR for override in own)
    return bool(base.hydra.mode == RunMode.MULTIRUN) and not one


def _refuse_folder(own: Sequence[Override], multirun: bool) -> None:
    """Raise ConfigError where the folder that was typed is not the one that would be used."""
    ignored, used, what = SWEEP_DIR, RUN_DIR, "a single job goes to"
    if multirun:
        ignored, used, what = RUN_DIR, SWEEP_DIR, "the jobs of a sweep go to"
    typed = [override for override in own if override.key_or_group == ignored]
    if used not in [override.key_or_group for override in own]:
        _refuse(typed, f"{what} {used}=")


def _parse(lines: Sequence[str], groups: grammar.Groups) -> tuple[list[Override], list[Problem]]:
    """The overrides, and the problems of those that are left out for their values.

    So a wrong value does not hide what is wrong elsewhere.  Raises ConfigError when more than
    values is wrong: nobody knows then what was meant.
    """
    try:
        return grammar.parse(lines, groups), []
    except ConfigError as error:
        wrong = {problem.key for problem in error.problems}
        if not wrong <= options().keys():
            raise
        rest = [line for line in lines if line.partition("=")[0].lstrip("+") not in wrong]
        return grammar.parse(rest, groups), list(error.problems)


def _placed(
    planned: list[PlannedJob], base: DictConfig, multirun: bool, open_ended: bool, pattern: str
) -> Command:
    """Where the planned jobs go, from Hydra's folder settings."""
    node = base.hydra.sweep if multirun else base.hydra.run
    fresh = "${now" in OmegaConf.to_yaml(node, resolve=False)
    if fresh and planned[0].config.launch.nodes > 1:
        expected = "every host must name the same folder with launch.nodes above 1"
        raise ConfigError([Problem(SWEEP_DIR if multirun else RUN_DIR, "", expected)])
    if multirun:
        folder = Path(str(node.dir)).expanduser()
        launcher = base.hydra.runtime.choices[LAUNCHER]
        return Command(planned, folder, True, False, fresh, open_ended, pattern, launcher)
    folder = Path(planned[0].name).expanduser()
    job = replace(planned[0], name=folder.name)
    own_folder = "${hydratron_job" not in pattern
    return Command([job], folder if own_folder else folder.parent, False, own_folder, fresh, False)


def _refuse(overrides: list[Override], reason: str) -> None:
    if overrides:
        typed = [(o.get_key_element(), grammar.typed_value(o)) for o in overrides]
        raise ConfigError([Problem(key, value, reason) for key, value in typed])


def _sweeper_params(base: DictConfig, groups: grammar.Groups) -> list[Override]:
    """`hydra.sweeper.params` as overrides, checked like those of the command line."""
    return grammar.parse([f"{key}={value}" for key, value in _params(base).items()], groups)


def _params(composed: DictConfig) -> Mapping[str, Any]:
    return composed.hydra.sweeper.get("params") or {}


def _refuse_inner_sweep(composed: DictConfig, product: list[Override], params: Any) -> None:
    """Raise ConfigError where a file that a job chooses sweeps by itself: it would be one job.

    `params` are those that the sweep has been made of.
    """
    if _params(composed) == params:
        return
    chosen = [override for override in product if override.key_or_group == "experiment"]
    reason = "sweeps by itself (hydra.sweeper.params), which cannot be swept; give each a command"
    raise ConfigError([Problem(o.key_or_group, o.value(), reason) for o in chosen or product])


def _plan_jobs(
    hydra: Composer,
    products: list[list[Override]],
    naming: Naming,
    refused: list[Problem],
    params: Any,
) -> list[PlannedJob]:
    """Compose and validate every job.  Raises ConfigError with all problems, each once."""
    planned: list[PlannedJob] = []
    found = {str(problem): problem for problem in refused}
    unread = {problem.key for problem in refused}
    for number, product in enumerate(products):
        try:
            composed = hydra.compose(product)
            _refuse_inner_sweep(composed, product, params)
            job = _plan_job(number, composed, naming)
            planned.append(job)
            wrong = problems(job.config, unread)
        except ConfigError as error:
            wrong = list(error.problems)
        found.update((str(problem), problem) for problem in wrong)
    for name, times in Counter(os.path.normpath(job.name) for job in planned).items():
        wrong = [Problem(SUBDIR, name, f"the same folder for {times} jobs")] * (times > 1)
        if naming.where == SUBDIR and (os.sep in name or name in (".", "..", "~")):
            # Nothing that reads a sweep looks above or below.
            wrong = [
                Problem(SUBDIR, name, "one folder in that of the sweep, without /, is expected")
            ]
        found.update((str(problem), problem) for problem in wrong)
    if found:
        raise ConfigError(list(found.values()))
    return planned


def _plan_job(number: int, composed: DictConfig, naming: Naming) -> PlannedJob:
    with open_dict(composed):
        composed.hydra.job.num, composed.hydra.job.id = number, str(number)
    HydraConfig.instance().set_config(composed)
    asked = [str(line) for line in composed.hydra.overrides.task]
    config = config_of(composed, asked, composed.hydra.searchpath)
    label = label_of(composed, config, naming.keys)
    return PlannedJob(config, asked, naming.name(composed, label), label)


def defaults() -> Config:
    """The configuration of a command without options, as it is written."""
    with composer() as hydra:
        return stated(hydra.compose([]), [], [])


def default_choices() -> dict[str, str]:
    """The choice of every group in `config.yaml`; a group without one is left out."""
    with composer() as hydra:
        chosen = hydra.compose([]).hydra.runtime.choices
    return {str(group): str(choice) for group, choice in chosen.items() if choice is not None}
