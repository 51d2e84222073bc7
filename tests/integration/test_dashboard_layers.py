"""The heat map of a run's layers in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.reporting import report
from tests.integration.browsing import Visit
from tests.unit.reporting.synthetic import config, rows, write_job

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MAP = "document.getElementById('layer-map').data?.[0]"


def write_layers(folder: Path) -> Path:
    """Two runs; the norms of the second are ten times those of the first, and one is nan."""
    for index, factor in enumerate((1.0, 10.0)):
        logged: list[dict[str, Any]] = rows(config(tp=index + 1))
        for row in [row for row in logged if row["step"] % 100 == 0 and "lr" in row]:
            for layer in range(4):
                row[f"layers/{layer:02d}/grad_norm"] = factor * 10.0**-layer
                row[f"layers/{layer:02d}/update_ratio"] = float("nan") if index else 1e-3
        write_job(folder / str(index), config(tp=index + 1), logged)
    return folder


def test_the_map_follows_the_choice_of_run_and_norm(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, report([write_layers(tmp_path / "s")]).dashboard, "dark")
    page = visit.page
    assert page.evaluate(MAP) is None  # not before it is seen
    page.locator("#layer-map").scroll_into_view_if_needed()
    page.wait_for_selector("#layer-map .heatmaplayer image", state="attached")
    drawn = page.evaluate(MAP)
    assert drawn["x"] == [100, 200, 300, 400]
    assert [row[0] for row in drawn["z"]] == [0, -1, -2, -3]
    assert drawn["colorbar"]["ticktext"] == ["0.001", "0.01", "0.1", "1"]
    page.select_option("#layer-run", "1")
    assert [row[0] for row in page.evaluate(MAP)["z"]] == [1, 0, -1, -2]
    page.select_option("#layer-metric", "update_ratio")
    assert page.evaluate(MAP)["z"] == []  # nothing finite
    page.select_option("#layer-run", "0")
    assert page.evaluate(MAP)["customdata"] == [[1e-3] * 4] * 4
    assert len(page.evaluate(MAP)["colorbar"]["ticktext"]) == 2
    page.click("#theme")
    visit.close()


def test_a_page_without_such_norms_has_no_map(browser: Browser, tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config())
    visit = Visit(browser, report([tmp_path / "s"]).dashboard, "light")
    assert visit.page.locator("#layer-map").count() == 0
    visit.close()
