"""The README's pictures, made anew: a notebook that was killed and run again, waiting for a person.

`PYTHONPATH=kernel:widgets:tests .venv/bin/python -m browser.readme_pictures` writes
`docs/images/notebook-light.png` and `-dark.png`. Look at them before you commit them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

from browser.lab import CHROMIUM_ARGUMENTS, ROOT, LabPage, LabServer, wait_for_badge

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = ROOT / "docs" / "images"
SIZE = (1240, 860)
SCALE = 1.5
SHOW = "import evercell\nevercell.progress()"
STEPS = """import time
from evercell import step

@step
def draft(topic: str) -> str:
    time.sleep(0.4)  # a model's answer
    evercell.record_usage(model="small", input_tokens=420, output_tokens=96, cost=0.0004)
    return f"{topic.capitalize()}: what everybody should know"

@step
def check(text: str) -> bool:
    time.sleep(0.1)
    return len(text) > 20"""
DRAFTS = """topics = ["llamas", "kernels", "tides", "glass", "bread", "maps"]
drafts = [draft(topic) for topic in topics]"""
CHECKS = "passed = [text for text in drafts if check(text)]"
ASK = 'await evercell.approval(f"Publish {len(passed)} drafts?", timeout="3d")'
IN_SIGHT = "document.querySelector('.evercell-run').getBoundingClientRect().top > 0"
CELLS = [SHOW, STEPS, DRAFTS, CHECKS, ASK]


def take(browser: Browser, folder: Path, theme: str) -> Path:
    """A picture of the notebook in JupyterLab with this theme, in 128 colours."""
    server = LabServer(folder)
    try:
        server.set_theme(f"JupyterLab {theme}")
        width, height = SIZE
        page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=SCALE
        )
        page.set_default_timeout(120_000)
        _an_earlier_run(server, LabPage(server, page, server.write("prompts.ipynb", CELLS[:4])))
        lab = LabPage(server, page, server.write("drafts.ipynb", CELLS))
        lab.open()
        lab.run_all(wait=False)
        page.locator(".ec-ask").wait_for()
        lab.kill_kernel()
        lab.run_all(wait=False)
        page.locator(".ec-ask").wait_for()
        wait_for_badge(lab, 3, "restored")
        _arrange(lab)
        page.screenshot(path=folder / "page.png")
        return _small(folder / "page.png", theme)
    finally:
        server.close()


def _an_earlier_run(server: LabServer, lab: LabPage) -> None:
    lab.open()
    lab.run_all()
    lab.close()
    server.stop_kernel(lab.notebook)


def _arrange(lab: LabPage) -> None:
    """The widget in sight, and the runs at the left."""
    page = lab.page
    page.click(".evercell-Picker")
    page.get_by_text("All Runs of This Folder").click()
    page.locator(".evercell-Runs-run").first.wait_for()
    # JupyterLab keeps the active cell in sight, which is the last one that ran.
    page.evaluate(
        """() => {
          const { content } = window.jupyterapp.shell.currentWidget;
          content.activeCellIndex = 0;
          return content.scrollToItem(0, 'start');
        }"""
    )
    page.wait_for_function(IN_SIGHT)
    page.mouse.move(0, 0)


def _small(picture: Path, theme: str) -> Path:
    target = IMAGES / f"notebook-{theme.lower()}.png"
    colours = Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    colours.save(target, optimize=True)
    return target


def main() -> None:
    """Take both pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        for theme in ("Light", "Dark"):
            made = take(browser, Path(folder) / theme, theme)
            print(made, made.stat().st_size)
        browser.close()


if __name__ == "__main__":
    main()
