"""Every reason why a workspace cannot be saved is one line that says what to do; no network."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hydratron.cli import main
from hydratron.config.schema import LoggerConfig
from hydratron.errors import HydratronError
from hydratron.reporting.records import read_runs
from hydratron.workspace import saving
from tests.unit.reporting import synthetic

WRITTEN = ("dashboard.html", "summary.csv", "curves.csv")


def sweep(tmp_path: Path, *loggers: LoggerConfig) -> Path:
    folder = tmp_path / "sweep"
    for index, logger in enumerate(loggers or (LoggerConfig(), LoggerConfig())):
        cfg = replace(synthetic.config(seed=index), logger=logger)
        synthetic.write_job(folder / f"{index:03d}_job", cfg, synthetic.rows(cfg, steps=20))
    return folder


class Server:
    """In place of the module wandb and of its Api."""

    def __init__(self, login: bool = True, held: Any = ()) -> None:
        self.default_entity, self.held, self.asked = "me", held, []  # type: ignore[var-annotated]
        self.Api = lambda: self
        self.login = lambda prompt, verify: login

    def runs(self, path: str, filters: dict[str, Any], per_page: int) -> Any:
        self.asked.append((path, filters))
        if isinstance(self.held, Exception):
            raise self.held
        return [SimpleNamespace(group=group, name=name) for group, name in self.held]


def meet(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Answer with this server; the list collects the workspaces that would be sent."""
    from wandb_workspaces.workspaces import Workspace

    sent: list[Any] = []

    def save(self: Any) -> Any:
        sent.append(self)
        return SimpleNamespace(url="https://wandb.example/me/hydratron?nw=x")

    monkeypatch.setitem(sys.modules, "wandb", server)
    monkeypatch.setattr(Workspace, "save", save)
    return sent


def test_a_missing_extra_ends_it_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "wandb_workspaces" else find(name, *rest),
    )
    folder = sweep(tmp_path)
    assert main(["report", str(folder), "--wandb"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "hydratron: --wandb: needs an extra that is not installed: "
        "pip install 'hydratron[wandb-workspace]'"
    ]
    assert not [name for name in WRITTEN if (folder / name).exists()]


def test_without_a_login_the_files_are_written_and_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = meet(Server(login=False), monkeypatch)
    folder = sweep(tmp_path)
    assert main(["report", str(folder), "--wandb"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "hydratron: W&B: no login on this machine: `wandb login`, then `wandb sync outputs/wandb`"
    ]
    assert all((folder / name).exists() for name in WRITTEN)
    assert not sent


def test_runs_logged_online_need_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meet(Server(login=False), monkeypatch)
    runs = read_runs(sweep(tmp_path, LoggerConfig(mode="online")))
    with pytest.raises(HydratronError, match=r"machine: `wandb login`$"):
        saving.save_view(runs, "title")


@pytest.mark.parametrize("held", [(), ValueError("Could not find project hydratron")])
def test_runs_that_the_server_does_not_hold_are_to_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: Any
) -> None:
    sent = meet(Server(held=held), monkeypatch)
    runs = read_runs(sweep(tmp_path, LoggerConfig(save_dir="b"), LoggerConfig(save_dir="a")))
    with pytest.raises(HydratronError) as caught:
        saving.save_view(runs, "title")
    assert str(caught.value) == (
        "W&B: me/hydratron holds none of the runs: `wandb sync a/wandb b/wandb`"
    )
    assert not sent


def test_a_saved_view_is_named_and_what_is_missing_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(held=[("sweep", "000_job"), ("elsewhere", "001_job")])
    sent = meet(server, monkeypatch)
    logger = LoggerConfig(entity="team", project="mine")
    assert main(["report", str(sweep(tmp_path, logger, logger)), "--wandb"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "https://wandb.example/me/hydratron?nw=x"
    assert said.err.splitlines() == ["hydratron: W&B: 1 of 2 runs are not there"]
    assert server.asked == [("team/mine", {"group": {"$in": ["sweep"]}})]
    assert [(w.entity, w.project, w.name) for w in sent] == [("team", "mine", "sweep")]


def test_an_answer_that_never_comes_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet(Server(held=ConnectionError("no route\nto host")), monkeypatch)
    runs = read_runs(sweep(tmp_path))
    with pytest.raises(
        HydratronError, match=r"^W&B: the workspace was not saved: no route to host$"
    ):
        saving.save_view(runs, "title")


def test_runs_without_wandb_or_of_two_projects_are_refused(tmp_path: Path) -> None:
    none = LoggerConfig(kind="none")
    with pytest.raises(HydratronError, match="logger=none: "):
        saving.destination(read_runs(sweep(tmp_path / "none", none)))
    two = (LoggerConfig(project="b", entity="e"), LoggerConfig(project="a"))
    with pytest.raises(HydratronError, match=r"^logger.project=a, e/b: "):
        saving.destination(read_runs(sweep(tmp_path / "two", *two)))
    mixed = read_runs(sweep(tmp_path / "mixed", none, LoggerConfig(project="p")))
    assert saving.destination(mixed) == ("p", None)
