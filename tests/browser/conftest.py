"""Fixtures: Chromium once, a JupyterLab server per test."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import CHROMIUM_ARGUMENTS, LabPage, LabServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright, whose event loop runs in this thread as long as it
    lives: for other tests' `asyncio.run` it must be gone."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def open_notebook(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., LabPage]]:
    """`open_notebook(name, cells, kernel=..., theme=..., width=..., app=..., python=...)`: a
    LabPage, kernel idle."""
    opened: list[LabPage] = []

    def open_one(
        name: str,
        cells: list[str],
        *,
        kernel: str = "evercell",
        theme: str | None = None,
        width: int = 1200,
        **options: Any,
    ) -> LabPage:
        server = LabServer(tmp_path / f"lab{len(opened)}", theme=theme, **options)
        page = browser.new_page(viewport={"width": width, "height": 900})
        lab = LabPage(server, page, server.write(name, cells, kernel=kernel))
        opened.append(lab)
        lab.open()
        return lab

    yield open_one
    for lab in opened:
        lab.page.close()
        lab.server.close()
