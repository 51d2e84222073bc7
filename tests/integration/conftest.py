"""One headless browser for all tests that look at a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hydratron.reporting import report
from tests.integration.browsing import BROWSERS, QUIET, Visit, browser_path
from tests.unit.reporting.synthetic import write_twelve

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    reason = "playwright is not installed"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    found = browser_path()
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def twelve(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Two models, two rates and three seeds; one job diverged and one failed."""
    opened = Visit(browser, report([write_twelve(tmp_path / "twelve")]).dashboard, "light")
    yield opened
    opened.close()
