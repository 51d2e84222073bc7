"""Every job of a command, composed and validated before anything is created."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from hydratron.config import folders
from hydratron.config import overrides as grammar
from hydratron.config.compose import Composer, composer, config_of, explained, stated
from hydratron.config.keys import options
from hydratron.config.schema import Config
from hydratron.config.validate import problems
from hydratron.errors import ConfigError, Problem

SWEEPER, BASIC = "hydra/sweeper", "basic"


@dataclass(frozen=True)
class PlannedJob:
    """One job of a command: what it runs, what was asked for, and its folder's name."""

    config: Config
    overrides: list[str]
    name: str


@dataclass(frozen=True)
class Command:
    """All jobs of a command, and where they go.

    `folder` is the sweep's, or the job's own when `hydra.run.dir` names one (`own_folder`).
    `fresh`: the folder is named by the time and must not exist yet.  `open_ended`: a sweeper that
    decides as it goes; `jobs` then holds the base configuration alone.
    """

    jobs: list[PlannedJob]
    folder: Path
    multirun: bool
    own_folder: bool
    fresh: bool
    open_ended: bool

    def job_folders(self, folder: Path) -> list[Path]:
        """Where each planned job goes when the sweep's folder is `folder`."""
        return [folder if self.own_folder else folder / job.name for job in self.jobs]

    def arguments(self, overrides: Sequence[str], folder: Path) -> list[str]:
        """Hydra's command line for these jobs, with its folder fixed to `folder`."""
        key, path = "hydra.sweep.dir", folder
        if not self.multirun:
            key, path = "hydra.run.dir", self.job_folders(folder)[0]
        quoted = QuotedString(str(path), Quote.single).with_quotes()
        return [*["--multirun"] * self.multirun, *overrides, f"{key}={quoted}"]


def jobs(overrides: Sequence[str], multirun: bool = False) -> list[PlannedJob]:
    """The validated jobs of a command.  Raises ConfigError with all problems of all jobs."""
    return plan(overrides, multirun).jobs


def plan(overrides: Sequence[str], multirun: bool = False) -> Command:
    """The validated jobs of a command and their folder; creates nothing.

    Raises ConfigError with all problems of all jobs, or HydratronError with the one line of what
    only Hydra knows (its own keys, files that it cannot read).
    """
    with composer() as hydra:
        paths = grammar.searchpath(overrides)
        groups = folders.groups(folders.search_folders(paths))
        typed, refused = _parse(overrides, groups)
        own = [override for override in typed if grammar.is_hydra(override)]
        asked = [override for override in typed if not grammar.is_hydra(override)]
        settled = [override for override in asked if not override.is_sweep_override()]
        _refuse([o for o in own if o.is_sweep_override()], "hydra's own keys cannot be swept")
        base = hydra.compose([*own, *settled])
        multirun = multirun or base.hydra.mode == RunMode.MULTIRUN
        if not multirun:
            _refuse([o for o in asked if o.is_sweep_override()], "several values: add -m to sweep")
        params = _sweeper_params(base, groups) if multirun else []
        open_ended = multirun and base.hydra.runtime.choices[SWEEPER] != BASIC
        products = [settled] if open_ended else _product([*params, *asked], groups)
        planned = _plan_jobs(hydra, [[*own, *product] for product in products], multirun, refused)
    return _placed(planned, base, multirun, open_ended)


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
    planned: list[PlannedJob], base: DictConfig, multirun: bool, open_ended: bool
) -> Command:
    """Where the planned jobs go, from Hydra's folder settings."""
    node = base.hydra.sweep if multirun else base.hydra.run
    pattern = OmegaConf.to_yaml(node, resolve=False)
    fresh = "${now" in pattern
    if fresh and planned[0].config.launch.nodes > 1:
        key = "hydra.sweep.dir" if multirun else "hydra.run.dir"
        expected = "every host must name the same folder with launch.nodes above 1"
        raise ConfigError([Problem(key, "", expected)])
    if multirun:
        return Command(planned, Path(str(node.dir)), True, False, fresh, open_ended)
    folder = Path(planned[0].name)
    job = replace(planned[0], name=folder.name)
    own_folder = "${hydratron_job" not in pattern
    return Command([job], folder if own_folder else folder.parent, False, own_folder, fresh, False)


def _refuse(overrides: list[Override], reason: str) -> None:
    if overrides:
        typed = [(o.get_key_element(), grammar.typed_value(o)) for o in overrides]
        raise ConfigError([Problem(key, value, reason) for key, value in typed])


def _sweeper_params(base: DictConfig, groups: grammar.Groups) -> list[Override]:
    """`hydra.sweeper.params` as overrides, checked like those of the command line."""
    params = base.hydra.sweeper.get("params") or {}
    return grammar.parse([f"{key}={value}" for key, value in params.items()], groups)


def _product(overrides: list[Override], groups: grammar.Groups) -> list[list[Override]]:
    """Every combination of the sweeps, in the order in which Hydra's basic sweeper runs them."""
    intervals = [o for o in overrides if o.is_sweep_override() and not o.is_discrete_sweep()]
    _refuse(intervals, f"an interval needs another {SWEEPER} than {BASIC}")
    lines: dict[str, list[str]] = {}
    for override in overrides:
        key, swept = override.get_key_element(), override.value()
        if isinstance(swept, Glob):
            values: Iterable[str] = swept.filter(list(groups[key]))
        elif override.is_sweep_override():
            values = override.sweep_string_iterator()
        else:
            values = [override.get_value_element_as_str()]
        lines[key] = [f"{key}={value}" for value in values]
    parser = OverridesParser.create()
    return [parser.parse_overrides(list(product)) for product in itertools.product(*lines.values())]


def _plan_jobs(
    hydra: Composer, products: list[list[Override]], multirun: bool, refused: list[Problem]
) -> list[PlannedJob]:
    """Compose and validate every job.  Raises ConfigError with all problems, each once."""
    planned: list[PlannedJob] = []
    found = {str(problem): problem for problem in refused}
    keys = {problem.key for problem in refused}
    for number, product in enumerate(products):
        try:
            job = _plan_job(number, hydra.compose(product), multirun)
            planned.append(job)
            wrong = problems(job.config, keys)
        except ConfigError as error:
            wrong = list(error.problems)
        found.update((str(problem), problem) for problem in wrong)
    for name, times in Counter(job.name for job in planned).items():
        if times > 1:
            problem = Problem("hydra.sweep.subdir", name, f"the same folder for {times} jobs")
            found[str(problem)] = problem
    if found:
        raise ConfigError(list(found.values()))
    return planned


def _plan_job(number: int, composed: DictConfig, multirun: bool) -> PlannedJob:
    with open_dict(composed):
        composed.hydra.job.num, composed.hydra.job.id = number, str(number)
    HydraConfig.instance().set_config(composed)
    asked = [str(line) for line in composed.hydra.overrides.task]
    config = config_of(composed, asked, composed.hydra.searchpath)
    try:
        name = str(composed.hydra.sweep.subdir if multirun else composed.hydra.run.dir)
    except OmegaConfBaseException as error:
        raise explained(error) from None
    return PlannedJob(config, asked, name)


def defaults() -> Config:
    """The configuration of a command without options, as it is written."""
    with composer() as hydra:
        return stated(hydra.compose([]), [], [])


def default_choices() -> dict[str, str]:
    """The choice of every group in `config.yaml`; a group without one is left out."""
    with composer() as hydra:
        chosen = hydra.compose([]).hydra.runtime.choices
    return {str(group): str(choice) for group, choice in chosen.items() if choice is not None}
