"""`parallel=tp2_dp8` for Hydra, which asks this source as it asks a folder of YAML files.

Composing, sweeps, experiment files and the processes of launchers all find choices through it.
"""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from hydratron.config.degrees import GROUP, USUAL, sizes


class DegreeSource(ConfigSource):
    """A group without files: the name of a choice says what is in it."""

    @staticmethod
    def scheme() -> str:
        return "degrees"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") in ("", GROUP)

    def is_config(self, config_path: str) -> bool:
        return _sizes(config_path) is not None

    def load_config(self, config_path: str) -> ConfigResult:
        found = _sizes(config_path)
        if found is None:
            raise ConfigLoadError(f"Config not found : {config_path}")
        content = OmegaConf.create(found)
        return ConfigResult(self.provider, self.full_path(), content, header={"package": None})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        inside = bool(config_path.strip("/"))
        if results_filter is (ObjectType.GROUP if inside else ObjectType.CONFIG):
            return []
        return sorted(USUAL) if inside else [GROUP]


class DegreePath(SearchPathPlugin):
    """Puts the source behind `conf/` and before the folders of `hydra.searchpath`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("hydratron", f"{DegreeSource.scheme()}://")


def register() -> None:
    """Make both known to Hydra, whose launchers hand them on to their processes."""
    Plugins.instance().register(DegreeSource)
    Plugins.instance().register(DegreePath)


def _sizes(config_path: str) -> dict[str, int] | None:
    group, _, choice = config_path.removesuffix(".yaml").strip("/").rpartition("/")
    return sizes(choice) if group == GROUP else None
