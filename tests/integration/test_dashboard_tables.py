"""The tables of the page in a real browser: sorted, filtered, counted anew, and never clipped."""

from __future__ import annotations

import pytest

from tests.integration.browsing import Visit


def test_tables_are_sorted_and_filtered(twelve: Visit) -> None:
    page = twelve.page
    column = "[...document.querySelectorAll('#runs tbody tr')].filter(r => !r.hidden)"
    shown = f"{column}.map(row => row.cells[0].textContent.slice(0, 3))"
    assert page.evaluate(shown)[0] == "006"
    page.locator("#runs th button", has_text="run").first.click()
    assert page.evaluate(shown) == [f"{index:03d}" for index in range(12)]
    head = page.locator("#runs th", has_text="val").first
    head.locator("button").click()
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    at = head.evaluate("cell => cell.cellIndex")
    losses = page.evaluate(f"{column}.map(row => Number(row.cells[{at}].textContent))")
    assert losses == sorted(losses, reverse=True)
    # Whatever the direction, what has no number comes last.
    head = page.locator("#runs th", has_text="tokens to")
    at = head.evaluate("cell => cell.cellIndex")
    for _ in range(2):
        head.locator("button").click()
        assert page.evaluate(f"{column}.at(-1).cells[{at}].textContent") == "not reached"
    page.fill("#runs input.filter", "gpt_nano failed")
    assert page.evaluate(shown) == ["010"]
    page.fill("#runs input.filter", "")
    assert len(page.evaluate(shown)) == 12


def test_the_tokens_to_a_loss_follow_the_loss_that_is_asked_for(twelve: Visit) -> None:
    cells = "[...document.querySelectorAll('td[data-runs]')].map(cell => cell.textContent)"
    before = twelve.page.evaluate(cells)
    target = twelve.page.input_value("#target")
    twelve.page.fill("#target", "5")
    assert twelve.page.locator(".target").all_text_contents() == ["5", "5"]
    nearer = twelve.page.evaluate(cells)
    assert "not reached" in before[:4]
    assert "not reached" not in nearer[:4]
    assert all(" ± " in text for text in nearer[:4])
    # The page counts as the report did.
    twelve.page.fill("#target", target)
    assert twelve.page.evaluate(cells) == before
    twelve.page.fill("#target", "0.1")
    assert set(twelve.page.evaluate(cells)) == {"not reached"}


@pytest.mark.parametrize(("width", "room"), [(1400, 1), (690, 0.6)])
def test_no_column_of_a_table_is_clipped(twelve: Visit, width: int, room: float) -> None:
    twelve.page.set_viewport_size({"width": width, "height": 900})
    if width < 1400:
        # As wide as A4 has room for.
        twelve.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    sizes = twelve.page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(box => [box.scrollWidth, box.clientWidth,"
        " Number(box.firstChild.style.zoom || 1)])"
    )
    assert len(sizes) == 2
    for inside, outside, zoom in sizes:
        assert inside <= outside
        assert zoom >= room
