"""One job's configuration, composed by Hydra from `conf/` and the schema.

Importing this module registers the schema and the resolver of job names with Hydra, so that the
processes of its launchers, which import it when they receive a job, know them too.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from hydratron.config import degree_source, degrees, folders
from hydratron.config import overrides as grammar
from hydratron.config.init_from import adopt
from hydratron.config.keys import nearest, options
from hydratron.config.labelled import brought, is_labelled, refuse_steps
from hydratron.config.load import from_dict
from hydratron.config.naming import Label
from hydratron.config.resume import config_file, merge, named_options
from hydratron.config.rules import filled
from hydratron.config.schema import Config
from hydratron.config.texts import at_home
from hydratron.errors import ConfigError, HydratronError, Problem

CONFIG_NAME = "config"
VERSION_BASE = "1.3"
# Where Hydra's and OmegaConf's messages stop being about the mistake.
NOISE = ("Config search path", "Search path", "full_key", "object_type", "reference_type", "See ")


@contextmanager
def composer() -> Iterator[Composer]:
    """A Composer over `conf_dir()`, while Hydra is initialised with it."""
    degree_source.register()
    folder = str(folders.conf_dir())
    with initialize_config_dir(folder, version_base=VERSION_BASE, job_name="hydratron"):
        try:
            yield Composer()
        finally:
            HydraConfig.instance().cfg = None


class Composer:
    """Composes jobs.  Those that choose the same files share one run of Hydra's composition."""

    def __init__(self) -> None:
        # Pickled: a copy from it takes a third of the time of a deep copy.
        self._composed: dict[tuple[str, ...], bytes] = {}

    def compose(self, overrides: Sequence[Override]) -> DictConfig:
        """The composition of one job, Hydra's own node included.  Raises HydratronError."""
        leaves = [o for o in overrides if not grammar.is_hydra(o) and o.key_or_group in options()]
        files = tuple(str(o.input_line) for o in overrides if o not in leaves)
        if files not in self._composed:
            try:
                whole = compose(CONFIG_NAME, list(files), return_hydra_config=True)
            except yaml.YAMLError as error:
                raise HydratronError(f"not YAML: {' '.join(str(error).split())}") from None
            except (AssertionError, AttributeError):
                # OmegaConf's, for a dictionary or a key that would go where null is.
                typed = ", ".join(str(o.input_line) for o in overrides if grammar.is_hydra(o))
                expected = "what is null takes no keys from here; set it in an experiment file"
                raise HydratronError(f"{typed}: {expected}") from None
            except (HydraException, OmegaConfBaseException) as error:
                raise explained(error) from None
            self._composed[files] = pickle.dumps(whole)
        composed: DictConfig = pickle.loads(self._composed[files])
        for override in leaves:
            OmegaConf.update(composed, override.key_or_group, override.value())
        with open_dict(composed):
            task = [o for o in overrides if not grammar.is_hydra(o)]
            composed.hydra.overrides.task = [str(o.input_line) for o in task]
        return composed


def config_of(composed: DictConfig, overrides: Sequence[str], searchpath: Sequence[str]) -> Config:
    """The configuration in a composition, `resume` included, with the numbers of its rules.

    `overrides` are the job's own: they win over the resumed job.  Raises ConfigError.
    """
    return filled(stated(composed, overrides, searchpath))


def stated(composed: DictConfig, overrides: Sequence[str], searchpath: Sequence[str]) -> Config:
    """The same as it is written, where null stands for a rule; the `hydra` node is left out."""
    try:
        content = {str(name): _plain(composed[name]) for name in composed if name != "hydra"}
    except OmegaConfBaseException as error:
        raise explained(error) from None
    config = at_home(from_dict(content))
    resumed = config.resume is not None and config_file(Path(config.resume)).exists()
    if not resumed and config.init_from is None and not is_labelled(config):
        return config
    chosen, keys = {}, []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.key_or_group in options():
            keys.append(override.key_or_group)
        else:
            chosen[override.key_or_group] = str(override.value())
    named = named_options(chosen, keys, folders.search_folders(searchpath))
    if resumed:
        config = merge(config, named)
    else:
        config = brought(config, named) if is_labelled(config) else config
        config = adopt(config, named) if config.init_from is not None else config
    refuse_steps(config, keys)
    return config


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def label_of(composed: DictConfig, config: Config, keys: Sequence[str] = ()) -> Label:
    """What the job of a composition is called where the sweep varies `keys`."""
    hydra = composed.hydra
    choices = {str(group): str(choice) for group, choice in hydra.runtime.choices.items()}
    return Label(OmegaConf.select(hydra, "job.num", default=0), config, choices, tuple(keys))


def _resolve_job_name(*keys: str, _root_: DictConfig) -> str:
    hydra = _root_.hydra
    config = config_of(_root_, hydra.overrides.task, hydra.searchpath)
    return str(label_of(_root_, config, keys))


def explained(error: Exception) -> HydratronError:
    """What Hydra or OmegaConf says, in one line, with the nearest option for an unknown one."""
    if isinstance(error, MissingConfigException):
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        if group == degrees.GROUP and (wrong := degrees.problem(choice)):
            return ConfigError([Problem(group, choice, wrong)])
    text = str(error) or str(error.__cause__ or error.__context__)
    lines = [line.strip() for line in text.splitlines()]
    keep = list(itertools.takewhile(lambda line: not line.startswith(NOISE), lines))
    cause = error if isinstance(error, OmegaConfBaseException) else error.__context__
    key = getattr(cause, "full_key", None)
    if not key or str(key).startswith("hydra"):
        return HydratronError(" ".join(line for line in keep if line))
    where = lines[0].partition(":")[0]
    where = f" ({where.lower()})" if where.startswith("In '") else ""
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        close = nearest(str(key), options(), always=True)
        return ConfigError([Problem(str(key), "", f"no such option{where}; nearest: {close}")])
    reason = (cause.msg if isinstance(cause, OmegaConfBaseException) else None) or keep[-1]
    return ConfigError([Problem(str(key), "", f"{reason.splitlines()[0]}{where}")])


ConfigStore.instance().store(name="schema", node=Config, provider="hydratron")
OmegaConf.register_new_resolver("hydratron_job", _resolve_job_name, replace=True)
