"""Nothing in the room of the configuration stands on a private name of Hydra or OmegaConf."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from hydra import compose

import hydratron.config.plan as module
from hydratron.config.command import BASIC
from hydratron.config.compose import CONFIG_NAME, composer

FILES = sorted(Path(module.__file__).parent.glob("*.py"))


def private_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if own else [node.attr]
        else:
            names = []
        for name in names:
            if name.startswith("_") and not name.startswith("__"):
                yield name


def test_no_private_name_is_used() -> None:
    used = {file.name: list(private_names(ast.parse(file.read_text()))) for file in FILES}
    found = {file: names for file, names in used.items() if names}
    assert not found, f"the next version of Hydra may lack them; find a public way: {found}"


def test_hydra_still_calls_its_own_sweeper_basic() -> None:
    with composer():
        choices = compose(CONFIG_NAME, return_hydra_config=True).hydra.runtime.choices
    assert choices.get(module.SWEEPER) == BASIC, (
        f"Hydra's default sweeper is no longer {module.SWEEPER}={BASIC}: every sweep would "
        "be taken for one that decides as it goes, and planned as its first job alone"
    )
