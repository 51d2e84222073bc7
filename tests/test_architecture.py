"""The rules of the house: who imports whom, how long a file is, and that the README is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "hydratron"
FILES = sorted(SOURCE.rglob("*.py"))

# Each room may import itself, `errors`, `hashing`, `job`, `locks` and the rooms named here; nothing
# upwards.
ROOMS: dict[str, set[str]] = {
    "parallel": set(),
    "models": {"parallel"},
    "checkpoint": {"parallel"},
    # The task function of a sweep starts jobs; the schema reads the names of placements, norms and
    # tasks, in modules that import nothing.
    "config": {"launch", "models", "tasks"},
    "tasks": {"data", "models", "parallel"},
    "data": {"config"},
    "reporting": {"config"},
    "workspace": {"config", "reporting"},
    "training": {"checkpoint", "config", "data", "models", "parallel", "tasks"},
    "launch": {"checkpoint", "config", "data", "training"},
    "evaluation": {
        "checkpoint",
        "config",
        "data",
        "launch",
        "models",
        "parallel",
        "training",
    },
    "planner": {"config", "models", "parallel", "tasks", "training"},
    "interop": {
        "checkpoint",
        "config",
        "data",
        "launch",
        "models",
        "parallel",
        "tasks",
        "training",
    },
    "reproduce": {"config", "data", "evaluation", "launch", "reporting"},
    "cli": {
        "config",
        "data",
        "evaluation",
        "interop",
        "launch",
        "planner",
        "reporting",
        "reproduce",
        "workspace",
    },
    "__main__": {"cli"},
    "errors": set(),
    "hashing": set(),
    "job": set(),
    "locks": set(),
}
HEAVY = {"torch", "lightning", "hydra", "omegaconf", "wandb", "wandb_workspaces"}
# Third-party packages that a room may not touch at all.
FORBIDDEN: dict[str, set[str]] = {
    "parallel": HEAVY - {"torch"},
    "models": HEAVY - {"torch"},
    "checkpoint": HEAVY - {"torch"},
    "tasks": HEAVY - {"torch"},
    "training": {"hydra", "omegaconf"},
    "launch": {"hydra", "omegaconf", "wandb"},
    "interop": HEAVY - {"torch"},
    "evaluation": {"hydra", "omegaconf", "wandb"},
    "data": HEAVY,
    "reporting": HEAVY,
    "workspace": HEAVY - {"wandb", "wandb_workspaces"},
    "reproduce": HEAVY,
    "errors": HEAVY,
    "hashing": HEAVY,
    "job": HEAVY,
    "locks": HEAVY,
}
# The worker, the schema and what they need run where neither hydra nor wandb is installed.
BARE = (
    "hydratron.launch.worker",
    "hydratron.launch.batch",
    "hydratron.training.train",
    "hydratron.config.schema",
)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_downwards(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        assert not list(imports(path))
        return
    for name in imports(path):
        package, *rest = name.split(".")
        assert package not in FORBIDDEN.get(here, set()), f"{here} imports {name}"
        if package == "hydratron" and rest:
            allowed = ROOMS[here] | {here, "errors", "hashing", "job", "locks"}
            assert rest[0] in allowed, f"{here} imports {name}"


def test_models_know_no_process_groups() -> None:
    for path in (SOURCE / "models").glob("*.py"):
        assert not any(name.startswith("torch.distributed") for name in imports(path)), path


def test_tensors_are_sent_by_groups_alone() -> None:
    """So that whoever replaces a group sees, or plans, all that a step sends."""
    sends = re.compile(
        r"dist\.(all_reduce|all_gather|reduce|reduce_scatter|broadcast|all_to_all|i?send|i?recv)"
        r"(_into_tensor|_tensor|_single|_coalesced)?\("
    )
    mesh = SOURCE / "parallel" / "mesh.py"
    assert sends.search(mesh.read_text(encoding="utf-8"))
    for path in FILES:
        assert path == mesh or not sends.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "path",
    sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_files_are_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines), default=0) <= 100


def texts_of_the_locale(tree: ast.AST) -> Iterator[int]:
    """Lines that read or write text without saying its encoding, which the locale then decides."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        said = {word.arg: ast.unparse(word.value) for word in call.keywords}
        place, _, name = ast.unparse(call.func).rpartition(".")
        if name in ("open", "fdopen"):
            modes = [*map(ast.unparse, call.args), said.get("mode", "")]
            binary = any(re.fullmatch(r"'[rwax+]*b\+?'", mode) for mode in modes)
            # Without a mode: numbers for the first, `rb` for the others.
            texts = not binary and f"{place}.{name}" not in ("os.open", "gzip.open", "lzma.open")
        else:
            texts = name in ("read_text", "write_text") and bool(place)
            texts |= "True" in (said.get("text"), said.get("universal_newlines"))
        if texts and "encoding" not in said:
            yield call.lineno


def test_a_text_without_encoding_is_seen() -> None:
    seen = "open(p)\np.open('a')\nos.fdopen(h, 'w')\np.read_text()\nrun(c, text=True)"
    assert len(list(texts_of_the_locale(ast.parse(seen)))) == 5
    passed = "open(p, 'rb')\nos.open(p, 0)\nwrite_text(p, t)\np.open(encoding='utf-8')"
    assert not list(texts_of_the_locale(ast.parse(passed)))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_every_text_file_is_utf8(path: Path) -> None:
    assert not list(texts_of_the_locale(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("module", BARE)
def test_a_bare_machine_can_run_a_job(module: str) -> None:
    code = f"import sys, {module}; print({{'hydra', 'omegaconf', 'wandb'}} & set(sys.modules))"
    seen = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == "set()"


def test_every_path_that_the_readme_names_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:src|conf|experiments|tests|docs|\.ci)/[\w./-]*)`", text))
    named |= {t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t}
    assert len(named) > 5
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing
