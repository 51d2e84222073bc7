"""The workspace shows the page's panels, groups by what differs, and is what W&B stores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.schema import OptimConfig
from hydratron.reporting.metrics import METRICS, charts
from hydratron.reporting.records import Run, read_runs
from hydratron.reporting.seeds import seed_groups
from hydratron.workspace import spec
from tests.unit.reporting import synthetic


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two models, two rates and three seeds."""
    return read_runs(synthetic.write_twelve(tmp_path_factory.mktemp("runs") / "twelve"))


def sent(runs: list[Run], title: str = "a title") -> dict[str, Any]:
    """What would be sent: the JSON of the view."""
    view = spec.workspace(runs, title, "me", "hydratron")._to_model()
    content: dict[str, Any] = json.loads(
        view.spec.model_dump_json(by_alias=True, exclude_none=True)
    )
    return content["section"]


def plots(section: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel["config"] for panel in section["panels"]]


def test_a_section_per_axis_shows_the_panels_of_the_page(twelve: list[Run]) -> None:
    logged = {key for run in twelve for key in run.keys}
    shown = charts(logged)
    assert len(shown) < len(charts(row.name for row in METRICS))  # these never waited for data
    sections = sent(twelve)["panelBankConfig"]["sections"]
    assert [section["isOpen"] for section in sections] == [True, False, False, False]
    for axis, section in zip(("tokens", "step", "seconds"), sections, strict=False):
        assert section["name"] == f"by {axis}"
        drawn = plots(section)
        assert [p["metrics"] for p in drawn] == [[metric.name] for metric in shown]
        assert [p["chartTitle"] for p in drawn] == [metric.title for metric in shown]
        assert [p.get("yAxisTitle", "") for p in drawn] == [metric.unit for metric in shown]
        assert {p["xAxis"] for p in drawn} == {axis}
        assert not any("yLogScale" in p for p in drawn)


def test_the_logarithmic_section_leaves_out_what_has_no_logarithm(twelve: list[Run]) -> None:
    section = sent(twelve)["panelBankConfig"]["sections"][-1]
    assert section["name"] == "by tokens, logarithmic"
    drawn = plots(section)
    assert all(p["yLogScale"] and p["xAxis"] == "tokens" for p in drawn)
    metrics = {p["metrics"][0] for p in drawn}
    assert "val/loss" in metrics
    assert "lr" not in metrics


def test_the_axes_are_what_the_rows_hold(twelve: list[Run]) -> None:
    # W&B's own `_step` counts the logged rows; optimizer steps are under `step`.
    assert {*spec.AXES} <= {*twelve[0].keys}


def test_seeds_are_a_group_with_the_band_of_the_page(twelve: list[Run]) -> None:
    section = sent(twelve)
    assert section["runSets"][0]["grouping"] == [
        {"section": "config", "name": "model.value.name"},
        {"section": "config", "name": "optim.value.lr"},
    ]
    every = [p for s in section["panelBankConfig"]["sections"] for p in plots(s)]
    assert {(p["groupAgg"], p["groupArea"]) for p in every} == {("mean", "minmax")}
    assert section["settings"]["useRunsTableGroupingInPanels"]


def test_without_several_seeds_every_run_stands_alone(tmp_path: Path) -> None:
    runs = read_runs(synthetic.write_sweep(tmp_path / "sweep"))
    assert sent(runs)["runSets"][0]["grouping"] == []


def test_the_keys_split_the_runs_exactly_as_the_seed_groups_do(twelve: list[Run]) -> None:
    keys = spec.telling_apart(twelve)
    assert keys == ["model.name", "optim.lr"]
    found: dict[tuple[Any, ...], set[Path]] = {}
    for run in twelve:
        found.setdefault(tuple(run.settings[key] for key in keys), set()).add(run.folder)
    groups = [{run.folder for run in group.runs} for group in seed_groups(twelve)]
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, groups))


def test_the_degree_stands_for_its_micro_batch(tmp_path: Path) -> None:
    for dp in (1, 2):
        synthetic.write_job(tmp_path / "sweep" / f"dp{dp}", synthetic.config(dp=dp))
    assert spec.telling_apart(read_runs(tmp_path / "sweep")) == ["parallel.data_parallel_size"]


def test_the_table_says_what_differs_first(twelve: list[Run]) -> None:
    feed = sent(twelve)["runSets"][0]["runFeed"]
    assert feed["columnOrder"][:5] == [
        "run:displayName",
        "config:model.value.name",
        "config:optim.value.lr",
        "config:seed.value",
        "run:state",
    ]
    assert "summary:val/loss" in feed["columnOrder"][5:]
    assert all(feed["columnVisible"][column] for column in feed["columnOrder"])
    assert sent(twelve)["runSets"][0]["sort"]["keys"][0]["key"]["name"] == "val/loss"


@pytest.mark.parametrize("sweep", ["plain", "it's", 'say "x", y', "ä b"])
def test_the_filter_names_the_sweeps_whatever_their_names(tmp_path: Path, sweep: str) -> None:
    for name in ("other", sweep):
        synthetic.write_job(tmp_path / name / "job", synthetic.config(), logged=[])
    runs = read_runs([tmp_path / "other", tmp_path / sweep])
    section = sent(runs)
    assert section["runSets"][0]["runFeed"]["columnOrder"][1] == "run:group"
    filters = json.dumps(section["runSets"][0]["filters"])
    assert json.dumps(sorted(["other", sweep])) in filters
    assert '"name": "group"' in filters


def test_every_run_is_drawn(twelve: list[Run]) -> None:
    section = sent(twelve)
    assert section["settings"]["maxRuns"] == 12
    panels = section["panelBankConfig"]["sections"][0]["panels"]
    assert {panel["config"]["limit"] for panel in panels} == {12}


def test_the_training_loss_is_smoothed_as_on_the_page(twelve: list[Run]) -> None:
    drawn = {p["metrics"][0]: p for p in plots(sent(twelve)["panelBankConfig"]["sections"][0])}
    window = max(len(run.rows) for run in twelve) / 40
    assert drawn["train/loss"]["smoothingType"] == "exponential"
    assert drawn["train/loss"]["smoothingWeight"] == pytest.approx(1 - 1 / window)
    assert drawn["train/loss"]["showOriginalAfterSmoothing"]
    assert "smoothingWeight" not in drawn["val/loss"]


def test_the_library_reads_back_what_it_would_send(twelve: list[Run]) -> None:
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.workspaces import internal

    made = spec.workspace(twelve, "a title", "me", "hydratron")
    text = made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
    view = internal.View(
        entity="me",
        project="hydratron",
        display_name="a title",
        name="nw-x-v",
        id="x",
        spec=internal.WorkspaceViewspec.model_validate_json(text),
    )
    back = ws.Workspace._from_model(view)
    assert back._to_model().spec.model_dump_json(by_alias=True, exclude_none=True) == text
    assert [repr(key) for key in back.runset_settings.groupby] == [
        repr(key) for key in made.runset_settings.groupby
    ]
    assert back.runset_settings.pinned_columns == made.runset_settings.pinned_columns


def test_symbols_that_wandb_refuses_are_replaced(twelve: list[Run]) -> None:
    made = spec.workspace(twelve, "lr=1e-3+seed 😀 & 2 more", "me", "hydratron")
    assert made.name == "lr-1e-3-seed - & 2 more"


def test_runs_that_logged_nothing_make_an_empty_workspace(tmp_path: Path) -> None:
    cfg = replace(synthetic.config(), optim=OptimConfig(lr=1e-2))
    synthetic.write_job(tmp_path / "sweep" / "job", cfg, logged=[], status=None)
    section = sent(read_runs(tmp_path / "sweep"))
    assert [s["panels"] for s in section["panelBankConfig"]["sections"]] == [[]] * 4
