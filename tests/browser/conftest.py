"""Fixtures: one Chromium and one Jupyter server for all of these tests, which take seconds to
start. Each test has a folder of its own, and so a history; the tab it shares has a warm cache."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from browser.lab import CHROMIUM_ARGUMENTS, PATIENCE, LabPage, LabServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page


_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright, whose event loop runs in this thread as long as it
    lives: for other folders' tests, which may use `asyncio.run`, it must be gone."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="package")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab for all notebooks: it keeps JupyterLab's ten megabytes of script compiled."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Serves JupyterLab and Notebook 7, the newest."""
    running = LabServer(tmp_path_factory.mktemp("lab"))
    yield running
    running.close()


@pytest.fixture
def open_notebook(request: pytest.FixtureRequest, tab: Page) -> Iterator[Callable[..., LabPage]]:
    """`open_notebook(name, cells, kernel=..., theme=..., width=..., app=..., server=...)`: a
    LabPage, kernel idle; one at a time. `app`: "lab", or "notebook" for Notebook 7. The
    notebook lies in a folder of the test's, so that it has a history of its own."""
    opened: list[LabPage] = []

    def open_one(
        name: str,
        cells: list[str],
        *,
        kernel: str = "evercell",
        theme: str = "JupyterLab Light",
        width: int = 1200,
        app: str = "lab",
        server: LabServer | None = None,
    ) -> LabPage:
        serving = server or request.getfixturevalue("server")
        serving.set_theme(theme)
        folder = re.sub(r"\W+", "-", request.node.name)
        tab.set_viewport_size({"width": width, "height": 900})
        notebook: Path = serving.write(f"{folder}/{name}", cells, kernel=kernel)
        lab = LabPage(serving, tab, notebook, app)
        opened.append(lab)
        lab.open()
        return lab

    yield open_one
    for lab in opened:
        if request.node.stash.get(_failed, False):
            picture = lab.screenshot(f"failed-{request.node.name}")
            picture.with_suffix(".html").write_text(lab.page.content())  # also what is out of sight
        lab.close()
