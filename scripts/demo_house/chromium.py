"""Looks at Home Assistant through a real Chromium: the system's own, driven by playwright, logged in as the owner."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from .home_assistant import Session
from .processes import DemoError

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Screen:
    """One tab. Selectors reach through open shadow roots, of which the frontend is made."""

    def __init__(self, page: Page, url: str, pictures: Path | None) -> None:
        self.page = page
        self.problems: list[str] = []
        self._url, self._pictures = url, pictures
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    async def show(self, path: str, until: str) -> None:
        """Open a page of Home Assistant and wait until something on it is drawn. Raises playwright's TimeoutError."""
        await self.page.goto(self._url + path)
        await self.page.locator(until).first.wait_for(timeout=60_000)

    async def choose(self, section: str, option: str) -> None:
        """Choose an option of the drop-down in the dashboard's section of that heading, as a person does."""
        menu = self.page.locator("hui-grid-section", has_text=section).locator(
            "hui-select-options-card-feature"
        )
        await menu.click()
        await menu.get_by_role("menuitem", name=option, exact=True).click()

    async def picture(self, name: str, settle_s: float = 2.0) -> None:
        """Take a screenshot once drawing has settled, where pictures are wanted."""
        if self._pictures is not None:
            await self.page.wait_for_timeout(settle_s * 1000)
            await self.page.screenshot(path=self._pictures / f"{name}.png")


@asynccontextmanager
async def open_screen(
    session: Session, pictures: Path | None, width: int = 1920, height: int = 1640
) -> AsyncIterator[Screen]:
    """Open a tab that is logged in as the owner. Raises DemoError where there is no Chromium."""
    if (chromium := find_chromium()) is None:
        raise DemoError("Chromium is missing: scripts/setup browser")
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            context = await browser.new_context(
                viewport={"width": width, "height": height}, locale="en-GB", timezone_id="Europe/Amsterdam"
            )
            storage = {"hassTokens": session.browser_tokens, "dockedSidebar": '"docked"'}
            await context.add_init_script(
                f"for (const [k, v] of Object.entries({json.dumps(storage)})) localStorage.setItem(k, v);"
            )
            yield Screen(await context.new_page(), session.url, pictures)
        finally:
            await browser.close()
