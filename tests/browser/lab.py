"""JupyterLab in a real browser: a server of our own, a page, and what a user does with them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import psutil
import pytest

from evercell.jupyter.kernelspec import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[2]
LABEXTENSION = ROOT / "widgets" / "labextension"
SCREENSHOTS = ROOT / "artifacts" / "screenshots"
AXE = ROOT / "widgets" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 120_000
"""Milliseconds that something may take before a test gives it up: only what will never come should
fail, on whatever machine."""
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
# What a first visit would otherwise lay over the page.
_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def wait_until(what: str, ready: Callable[[], bool]) -> None:
    """Ask `ready` until it says something true; fails with `what` when `PATIENCE` is over."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not ready():
        assert time.monotonic() < deadline, f"waited {PATIENCE / 1000} s in vain until {what}"
        time.sleep(0.05)


class LabServer:
    """A Jupyter server with its own port, settings and kernels, in `folder`: for JupyterLab and
    Notebook 7. `python`: of the environment that has them; kernels run in ours in any case."""

    def __init__(self, folder: Path, *, python: str = sys.executable) -> None:
        self._python = python
        self.folder = folder / "notebooks"
        self.folder.mkdir(parents=True)
        self._data, self._config = folder / "data", folder / "config"
        self._register_kernel()
        shutil.copytree(LABEXTENSION, folder / "share" / "labextensions" / "evercell")
        for name, values in _SETTINGS.items():
            self._write_settings(name, values)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            self._command(),
            env=self._environment(folder),
            cwd=self.folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_until("the server answers", self._answers)

    def _command(self) -> list[str]:
        return [
            self._python, "-m", "jupyterlab", "--no-browser", "--allow-root",
            "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0", "--IdentityProvider.token=",
            "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={self.folder}",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--KernelManager.shutdown_wait_time=1",
        ]  # fmt: skip

    def _environment(self, folder: Path) -> dict[str, str]:
        paths = [ROOT / "kernel", ROOT / "widgets", Path(__file__).parent]
        return os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "JUPYTER_CONFIG_DIR": str(self._config),
            "JUPYTER_DATA_DIR": str(self._data),
            "JUPYTER_PATH": str(folder / "share"),  # comes before what is installed
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(self._config / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self._config / "workspaces"),
            "EVERCELL_KEY_FILE": str(folder / "key"),
        }

    def _register_kernel(self) -> None:
        """The `evercell` kernelspec of this working copy, with this interpreter."""
        target = self._data / "kernels" / "evercell"
        shutil.copytree(RESOURCES, target)
        spec = json.loads((target / "kernel.json").read_text())
        spec["argv"][0] = sys.executable
        (target / "kernel.json").write_text(json.dumps(spec))

    def set_theme(self, theme: str) -> None:
        """The theme of pages that are loaded from now on."""
        self._write_settings("apputils-extension/themes", {"theme": theme})

    @contextlib.contextmanager
    def without_extension(self) -> Iterator[None]:
        """As after `jupyter labextension disable evercell`, for pages that are loaded in the
        block."""
        path = self._config / "labconfig" / "page_config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"disabledExtensions": {"evercell": True}}))
        try:
            yield
        finally:
            path.unlink()

    def _write_settings(self, name: str, values: dict[str, Any]) -> None:
        path = self._config / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder.parent / "server.log").read_text()
        try:
            self.api("status")
        except OSError:
            return False
        return True

    def page_of(self, notebook: Path, app: str) -> str:
        """The address of an open notebook."""
        path = "lab/tree" if app == "lab" else "notebooks"
        where = notebook.relative_to(self.folder).as_posix()
        return f"http://127.0.0.1:{self.port}/{path}/{where}?reset"

    def api(self, path: str, method: str = "GET") -> Any:
        """What the server's REST API says at `path`."""
        url = f"http://127.0.0.1:{self.port}/api/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            said = answer.read()
            return json.loads(said) if said else None

    def write(self, name: str, cells: list[str], *, kernel: str = "evercell") -> Path:
        """A notebook with these code cells, for `kernel`."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata["kernelspec"] = {
            "name": kernel, "display_name": kernel, "language": "python",
        }  # fmt: skip
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    def sessions_of(self, notebook: Path) -> list[dict[str, Any]]:
        """The notebook's sessions, of which there is one at most."""
        where = notebook.relative_to(self.folder).as_posix()
        return [it for it in self.api("sessions") if it["path"] == where]

    def kernel_process(self, notebook: Path) -> psutil.Process | None:
        """The notebook's kernel that runs now."""
        for session in self.sessions_of(notebook):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
                    if any(session["kernel"]["id"] in part for part in child.cmdline()):
                        return child
        return None

    def stop_kernel(self, notebook: Path) -> None:
        """End the notebook's kernel at once: nobody asks what it would still do."""
        if (process := self.kernel_process(notebook)) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                process.kill()
        wait_until("the kernel's session is gone", lambda: self._ended_sessions(notebook))

    def _ended_sessions(self, notebook: Path) -> bool:
        """Whether the notebook has no session; else ask for its end. The server answers with an
        error while it starts the killed kernel again: its future of that is not done."""
        for session in self.sessions_of(notebook):
            try:
                self.api(f"sessions/{session['id']}", "DELETE")
            except urllib.error.HTTPError as error:
                if error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in _GONE:
                    raise
        return not self.sessions_of(notebook)

    def close(self) -> None:
        """End the server and what it started, at once: all of it is thrown away."""
        for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self._log.close()


@dataclass
class LabPage:
    """A notebook open in JupyterLab, or with the app "notebook" in Notebook 7."""

    server: LabServer
    page: Page
    notebook: Path
    app: str = "lab"
    _listeners: list[tuple[Any, Callable[[Any], None]]] = field(default_factory=list)

    def open(self) -> None:
        """Open the notebook, or load the page again, and wait for its kernel."""
        self.reload()
        self.page.wait_for_function(f"{_KERNEL}?.status === 'idle'")

    def reload(self) -> None:
        """Load the page again, and wait for the notebook; its kernel may be busy."""
        self.page.goto(self.server.page_of(self.notebook, self.app))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def close(self) -> None:
        """Leave the page, and end the kernel."""
        while self._listeners:
            self.page.remove_listener(*self._listeners.pop())
        self.page.goto("about:blank")
        self.server.stop_kernel(self.notebook)

    def on(self, event: Any, listener: Callable[[Any], None]) -> None:
        """Listen to the page until the notebook is closed."""
        self._listeners.append((event, listener))
        self.page.on(event, listener)

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Run one of Lab's commands to its end."""
        self.page.evaluate(
            "([name, given]) => window.jupyterapp.commands.execute(name, given).then(() => {})",
            [name, arguments or {}],
        )

    def run_all(self, *, wait: bool = True) -> None:
        """Run > Run All Cells; with `wait` until the last one has ended."""
        if wait:
            self.command("notebook:run-all-cells")
        else:
            self.page.evaluate(
                "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
            )

    def save(self) -> nbformat.NotebookNode:
        """Save, and return what the file holds."""
        self.command("docmanager:save")
        return nbformat.read(self.notebook, as_version=4)

    def kill_kernel(self) -> None:
        """SIGKILL the kernel's process, and wait until the server has started another, and the
        page has heard of both."""
        old = self.server.kernel_process(self.notebook)
        assert old is not None
        old.kill()
        wait_until(
            "the killed kernel is gone", lambda: not old.is_running() or old.status() == "zombie"
        )

        def another() -> bool:
            new = self.server.kernel_process(self.notebook)
            return new is not None and new.pid != old.pid

        wait_until("another kernel has started", another)
        dialog = self.page.locator(".jp-Dialog", has_text="appears to have died")
        dialog.locator(".jp-mod-accept").click()  # until it has gone, the page takes no clicks
        dialog.wait_for(state="detached")
        self.page.wait_for_function(f"{_KERNEL}?.status === 'idle'")

    def executing(self) -> int:
        """How many cells show that they run or wait: [*]. The kernel's status says "idle" after
        each comm message on a subshell, also while a cell runs."""
        return self.page.locator(".jp-InputPrompt", has_text="[*]").count()

    def errors(self) -> list[str]:
        """What the notebook's cells show as errors."""
        outputs = "cell.model.outputs?.toJSON() ?? []"
        shown: list[str] = self.page.evaluate(
            f"window.jupyterapp.shell.currentWidget.content.widgets.flatMap(cell => {outputs})"
            ".filter(output => output.output_type === 'error')"
            ".map(error => error.traceback.join('\\n'))"
        )
        return shown

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the page as `artifacts/screenshots/NAME.png`."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def use_theme(lab: LabPage, theme: str) -> None:
    """Switch the page to JupyterLab's "light" or "dark" theme."""
    lab.command("apputils:change-theme", {"theme": f"JupyterLab {theme.capitalize()}"})
    is_light = str(theme == "light").lower()
    lab.page.wait_for_selector(f"body[data-jp-theme-light={is_light}]", state="attached")
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")  # it fades away


def part(lab: LabPage, name: str, selector: str, size: tuple[int, int]) -> Path:
    """Keep a picture of what is at the top left of an element, so many pixels wide and high."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    place = lab.page.locator(selector).first.bounding_box()
    assert place is not None, f"there is no {selector} in sight"
    width, height = size
    path = SCREENSHOTS / f"{name}.png"
    lab.page.screenshot(
        path=path, clip={"x": place["x"], "y": place["y"], "width": width, "height": height}
    )
    return path


_KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
_BADGES = """[...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(cell =>
    [...cell.querySelectorAll('.evercell-Badge-text > *')].map(it => it.textContent).join(' '))"""


def badges(lab: LabPage) -> list[str]:
    """The badges' texts on one line each, cell by cell; "" for a cell without one."""
    shown: list[str] = lab.page.evaluate(_BADGES)
    return [" ".join(text.split()) for text in shown]


def wait_for_badge(lab: LabPage, index: int, text: str) -> None:
    """Until the badge of the cell at `index` holds `text`."""
    wait_until(
        f"cell {index} shows {text!r}: {badges(lab)}",
        lambda: text in "".join(badges(lab)[index : index + 1]),
    )


def preview(lab: LabPage) -> list[list[str]]:
    """What the preview says, row by row: cell, code, what happens, why, what it had cost."""
    toolbar_button(lab, "What would run?").click()
    lab.page.wait_for_selector(".evercell-Preview table")
    rows = lab.page.locator(".evercell-Preview tbody tr").all_inner_texts()
    return [[" ".join(text.split()) for text in row.split("\t")] for row in rows]


def serious(page: Page, selector: str) -> list[str]:
    """What axe-core finds wrong there, if it is serious. Skips the test where axe-core is not
    installed: call it last."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm; `make js` installs it)")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    # JupyterLab's body has no height and hides what sticks out, which is all: so axe-core thinks.
    page.evaluate("document.body.style.height = '100vh'")
    found = page.evaluate("selector => axe.run(selector)", selector)
    rules = {it["id"] for it in [*found["passes"], *found["violations"]]}
    unsure = [node["failureSummary"] for it in found["incomplete"] for node in it["nodes"]]
    assert "color-contrast" in rules, f"axe-core can't tell the contrast in {selector}: {unsure}"
    return [
        f"{it['id']}: {it['help']}: {it['nodes'][0]['html']}"
        for it in found["violations"]
        if it["impact"] in {"serious", "critical"}
    ]


def toolbar_button(lab: LabPage, name: str) -> Locator:
    """A button of the notebook's toolbar."""
    toolbar = lab.page.locator(".jp-NotebookPanel-toolbar")
    return toolbar.get_by_role("button", name=name, exact=True)


def edit(lab: LabPage, index: int, source: str) -> None:
    """Type over a cell's code."""
    lab.page.locator(".jp-CodeCell .cm-content").nth(index).click()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.insert_text(source)
