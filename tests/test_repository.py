"""What people expect of a repository, and that it says the same everywhere."""

from __future__ import annotations

import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_licence_and_version_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["license"] == citation["license"] == "Apache-2.0"
    assert project["version"] == str(citation["version"])
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
    assert "arXiv:1909.08053" in str(citation["references"])


def test_the_package_says_that_it_is_typed() -> None:
    assert files("hydratron").joinpath("py.typed").is_file()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_git_keeps_of_the_outputs_only_what_they_are() -> None:
    def ignored(name: str) -> bool:
        command = ["git", "check-ignore", "--no-index", "--quiet", name]
        return subprocess.run(command, cwd=ROOT).returncode == 0

    assert (ROOT / "outputs" / "README.md").is_file()
    assert not ignored("outputs/README.md")
    assert ignored("outputs/demo")


def test_a_commit_is_checked_as_by_make_lint() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    tools = {Path(hook["entry"].split()[0]).name for hook in repo["hooks"]}
    assert tools == {"ruff", "mypy"}
    for hook in repo["hooks"]:
        said = hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude")
        assert f"$(BIN)/{said}" in lint
