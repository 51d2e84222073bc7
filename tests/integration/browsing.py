"""A dashboard in a real browser, with everything that went wrong on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

Scheme = Literal["light", "dark"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def browser_path() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Visit:
    """An open page and everything that went wrong on it."""

    def __init__(
        self, browser: Browser, dashboard: Path, scheme: Scheme, height: int = 1000
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": 1400, "height": height}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("requestfailed", lambda request: self.troubles.append(request.url))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(dashboard.as_uri())
        self.page.wait_for_selector("html[data-drawn]")

    def see(self, chart: Locator) -> None:
        """Scroll to a chart, which is drawn then."""
        chart.scroll_into_view_if_needed()
        chart.locator(".scatterlayer path.js-line").first.wait_for(state="attached")

    def last_x(self) -> float:
        """Where the longest line of the main chart ends."""
        return float(
            self.page.evaluate(
                "Math.max(...document.getElementById('chart-val-loss').data.map(t => t.x.at(-1)))"
            )
        )

    def axis(self) -> tuple[str, float]:
        """Title and end of the x axis as they are drawn in the main chart."""
        title = self.page.text_content("#chart-val-loss .xtitle")
        end = self.page.evaluate(
            "document.getElementById('chart-val-loss')._fullLayout.xaxis.range[1]"
        )
        return str(title), float(end)

    def close(self) -> None:
        self.context.close()
        assert self.troubles == []
        local = ("file:", "data:", "blob:")
        assert [url for url in self.requests if not url.startswith(local)] == []
