"""The page of a sweep in a real browser: drawn lines, switches, and names that must stay text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hydratron.reporting import report
from tests.integration.browsing import Scheme, Visit
from tests.unit.reporting.synthetic import write_sweep

if TYPE_CHECKING:
    from playwright.sync_api import Browser

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
HOSTILE = "<img src=x onerror=alert(1)>"
# Stroke and dash of every line of one chart, in drawing order.
LINES = """id => [...document.querySelectorAll(`#${id} .scatterlayer path.js-line`)].map(path => {
  const style = getComputedStyle(path);
  return {colour: style.stroke, dash: style.strokeDasharray, width: style.strokeWidth};
})"""


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sweep = write_sweep(tmp_path_factory.mktemp("outputs") / "sweep", hostile=HOSTILE)
    return report([sweep]).dashboard


@pytest.fixture(scope="module")
def visit(browser: Browser, dashboard: Path) -> Iterator[Visit]:
    """One page for the tests that only look."""
    opened = Visit(browser, dashboard, "light")
    yield opened
    opened.close()


@pytest.fixture
def fresh(browser: Browser, dashboard: Path) -> Iterator[Visit]:
    """A page of its own for a test that presses its switches."""
    opened = Visit(browser, dashboard, "light")
    yield opened
    opened.close()


def test_every_run_is_a_line_in_every_panel(visit: Visit) -> None:
    charts = visit.page.locator(".chart")
    assert charts.count() == 8
    for index in range(8):
        visit.see(charts.nth(index))
        assert charts.nth(index).locator(".scatterlayer path.js-line").count() == 6


def test_a_chart_is_drawn_when_the_reader_comes_to_it(browser: Browser, dashboard: Path) -> None:
    visit = Visit(browser, dashboard, "light", height=500)
    last = visit.page.locator(".chart").last
    assert visit.page.locator("#chart-val-loss .main-svg").count() > 0
    assert last.locator(".main-svg").count() == 0
    visit.see(last)
    assert last.locator(".xtitle").text_content() == "tokens"
    # A switch reaches the charts that are out of sight when they are seen again.
    visit.page.evaluate("scrollTo(0, 0)")
    visit.page.locator("#axis label", has_text="steps").click()
    visit.page.wait_for_selector("html[data-drawn]")
    visit.see(last)
    playwright.expect(last.locator(".xtitle")).to_have_text("optimizer steps")
    visit.close()


def test_paper_has_every_chart_seen_or_not(browser: Browser, dashboard: Path) -> None:
    visit = Visit(browser, dashboard, "dark", height=500)
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    charts = visit.page.locator(".chart")
    for index in range(8):
        assert charts.nth(index).locator(".scatterlayer path.js-line").count() == 6
    visit.close()


def test_colour_is_the_model_and_dash_the_degree_in_every_panel(visit: Visit) -> None:
    seen = defaultdict(set)
    for identifier in visit.page.locator(".chart").evaluate_all("all => all.map(c => c.id)"):
        visit.see(visit.page.locator(f"#{identifier}"))
        lines = visit.page.evaluate(LINES, identifier)
        seen["colours"].add(tuple(line["colour"] for line in lines))
        seen["dashes"].add(tuple(line["dash"] for line in lines))
    (colours,) = seen["colours"]
    (dashes,) = seen["dashes"]
    # The runs in folder order: each of three models at one and at two ranks.
    assert colours[0::2] == colours[1::2]
    assert len(set(colours)) == 3
    assert set(dashes[0::2]) == {"none"}
    assert set(dashes[1::2]) == {"7px, 4px"}


def test_the_failed_run_ends_in_a_cross(visit: Visit) -> None:
    assert visit.page.locator("#chart-val-loss .scatterlayer .trace:last-child .point").count() > 0
    ends = visit.page.evaluate(
        "document.getElementById('chart-val-loss').data.map(t => t.mode.includes('markers'))"
    )
    # Six lines, then the cross at the end of the one that failed.
    assert ends == [False] * 6 + [True]


def test_the_switches_change_the_axes(fresh: Visit) -> None:
    assert fresh.axis() == ("tokens", pytest.approx(204_800 * 1.012))
    assert fresh.last_x() == 204_800
    fresh.page.locator("#axis label", has_text="steps").click()
    assert fresh.axis() == ("optimizer steps", pytest.approx(400 * 1.012))
    assert fresh.last_x() == 400
    fresh.page.locator("#axis label", has_text="seconds").click()
    title, end = fresh.axis()
    assert title == "seconds"
    assert 60 < fresh.last_x() < end < 66
    scale = "document.getElementById('chart-val-loss')._fullLayout.yaxis.type"
    assert fresh.page.evaluate(scale) == "linear"
    fresh.page.locator("#scale label", has_text="log").click()
    assert fresh.page.evaluate(scale) == "log"
    path = "document.querySelector('#chart-train-loss path.js-line').getAttribute('d')"
    fresh.see(fresh.page.locator("#chart-train-loss"))
    smooth = fresh.page.evaluate(path)
    fresh.page.locator("#smoothing label", has_text="raw").click()
    fresh.page.wait_for_selector("html[data-drawn]")
    assert fresh.page.evaluate(path) != smooth


def test_the_legend_hides_a_model_and_a_degree(fresh: Visit) -> None:
    lines = fresh.page.locator("#chart-val-loss .scatterlayer path.js-line")
    fresh.page.locator(".keys button", has_text="gpt_pico").click()
    assert lines.count() == 4
    fresh.page.locator(".keys button", has_text="tp2").click()
    assert lines.count() == 2
    fresh.page.locator(".keys button", has_text="gpt_pico").click()
    assert lines.count() == 3


def test_a_hostile_name_is_text_everywhere(visit: Visit) -> None:
    visit.page.hover("#chart-val-loss .nsewdrag", position={"x": 300, "y": 150})
    visit.page.wait_for_selector("#chart-val-loss .hoverlayer .legend")
    hovered = visit.page.locator("#chart-val-loss .hoverlayer .legend").text_content()
    assert f"004_{HOSTILE}-single-pre-s1" in str(hovered)
    assert visit.page.locator("img").count() == 0
    assert visit.page.locator("[onerror]").count() == 0
    assert visit.page.locator(".keys button", has_text=HOSTILE).count() == 1
    assert visit.page.locator("td", has_text=HOSTILE).count() == 4


def test_light_and_dark_both_draw_and_the_button_changes_them(
    browser: Browser, dashboard: Path
) -> None:
    pictures = {}
    for scheme in SCHEMES:
        visit = Visit(browser, dashboard, scheme)
        pictures[scheme] = visit.page.screenshot()
        paper = "getComputedStyle(document.body).backgroundColor"
        before = visit.page.evaluate(paper)
        line = visit.page.evaluate(LINES, "chart-val-loss")[0]["colour"]
        visit.page.click("#theme")
        assert visit.page.evaluate(paper) != before
        assert visit.page.evaluate(LINES, "chart-val-loss")[0]["colour"] != line
        visit.close()
    # A blank page of this size compresses to a few kilobytes.
    assert min(map(len, pictures.values())) > 40_000
    assert pictures["light"] != pictures["dark"]


@pytest.mark.parametrize("width", [420, 800])
def test_nothing_is_wider_than_a_small_screen(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    playwright.expect(visit.page.locator("html")).to_have_js_property("scrollWidth", width)


def strokes(visit: Visit) -> list[str]:
    return [line["colour"] for line in visit.page.evaluate(LINES, "chart-val-loss")]


def dashes(visit: Visit) -> set[str]:
    return {line["dash"] for line in visit.page.evaluate(LINES, "chart-val-loss")}


def test_colour_and_dash_follow_an_option_in_lines_legend_and_table(twelve: Visit) -> None:
    page = twelve.page
    keys = page.locator(".keys button")
    assert keys.all_text_contents() == ["gpt_pico", "gpt_nano", "0.001", "0.003"]
    assert page.locator(".keys .title").all_text_contents() == ["model", "lr"]
    assert (len(set(strokes(twelve))), dashes(twelve)) == (2, {"none", "7px, 4px"})
    page.select_option("#colour", "lr")
    page.select_option("#dash", "none")
    assert keys.all_text_contents() == ["0.001", "0.003"]
    assert (len(set(strokes(twelve))), dashes(twelve)) == (2, {"none"})
    page.select_option("#dash", "model")
    assert len(dashes(twelve)) == 2
    lines = page.locator("td svg[data-run] line").evaluate_all(
        "all => all.map(line => [getComputedStyle(line).stroke,"
        " getComputedStyle(line).strokeDasharray])"
    )
    assert {stroke for stroke, _ in lines} == set(strokes(twelve))
    assert {dash for _, dash in lines} == dashes(twelve)
    before = len(strokes(twelve))
    keys.nth(0).click()
    hidden = len(strokes(twelve))
    assert hidden < before
    # The choices are still there after the page was loaded anew.
    page.reload()
    page.wait_for_selector("html[data-drawn]")
    assert len(strokes(twelve)) == hidden
    assert page.input_value("#colour") == "lr"
    assert page.input_value("#dash") == "model"
    assert keys.nth(0).get_attribute("aria-pressed") == "false"


def test_a_mean_with_its_band_stands_for_the_seeds(twelve: Visit) -> None:
    names = twelve.page.evaluate(
        "document.getElementById('chart-val-loss').data.map(t => [t.name, t.fill ?? ''])"
    )
    means = [name for name, fill in names if "mean of" in name and not fill]
    assert means[:2] == [
        "gpt_pico, lr 0.001 (mean of 3 seeds)",
        "gpt_pico, lr 0.003 (mean of 2 seeds)",
    ]
    assert sum(fill == "toself" for _, fill in names) == 4
    # The diverged and the failed run are still there, each a line and a cross.
    assert sum("-s2" in name for name, _ in names) == 4
    assert twelve.page.locator("#colour option", has_text="seed").is_disabled()
    assert twelve.page.locator("#mean-note").is_visible()
    twelve.page.locator("#seeds label", has_text="runs").click()
    assert len(strokes(twelve)) == 12
    assert not twelve.page.locator("#mean-note").is_visible()


def test_the_wide_band_of_two_seeds_does_not_flatten_the_lines(twelve: Visit) -> None:
    twelve.see(twelve.page.locator("#chart-grad_norm"))
    chart = "document.getElementById('chart-grad_norm')"
    band = twelve.page.evaluate(f"{chart}.data.filter(t => t.fill).flatMap(t => t.y)")
    lines = twelve.page.evaluate(
        f"{chart}.data.filter(t => !t.fill && t.name.includes('mean of')).flatMap(t => t.y)"
    )
    low, high = twelve.page.evaluate(f"{chart}._fullLayout.yaxis.range")
    span = max(lines) - min(lines)
    assert low < min(lines) < max(lines) < high
    assert max(band) - min(band) > 2 * span
    assert high - low < 1.7 * span


def test_a_diverged_run_does_not_flatten_the_others(twelve: Visit) -> None:
    span = "document.getElementById('chart-val-loss')._fullLayout.yaxis.range"
    low, high = twelve.page.evaluate(span)
    assert 4 < low < 4.6
    assert 7 < high < 9
    cross = twelve.page.evaluate("document.getElementById('chart-val-loss').data.at(-2)")
    assert cross["y"][0] == pytest.approx(high)


def test_figures_are_saved_with_their_legend(twelve: Visit, tmp_path: Path) -> None:
    for kind, start in (("svg", b"<svg"), ("png", b"\x89PNG")):
        with twelve.page.expect_download() as waiting:
            twelve.page.click(f"[data-chart=chart-val-loss][data-format={kind}]")
        saved = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(saved)
        assert saved.name == f"twelve-val-loss.{kind}"
        assert saved.read_bytes().startswith(start)
    text = (tmp_path / "twelve-val-loss.svg").read_text()
    for word in ("gpt_pico", "gpt_nano", "lr 0.001", "lr 0.003"):
        assert f">{word}<" in text
    assert "Validation loss, nats a prediction" in text
