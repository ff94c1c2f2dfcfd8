"""JupyterLab in a real browser: a server of our own, a page, and what a user does with them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import psutil

from evercell.jupyter.kernelspec import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
LABEXTENSION = ROOT / "widgets" / "labextension"
SCREENSHOTS = ROOT / "artifacts" / "screenshots"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What a first visit would otherwise lay over the page.
_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def wait_until(what: str, ready: Callable[[], bool], timeout: float = 60) -> None:
    """Ask `ready` until it says something true; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain until {what}"
        time.sleep(0.05)


class LabServer:
    """A JupyterLab server with its own port, settings and kernels, in `folder`.

    `app`: "lab", or "notebook" for Notebook 7. `python`: of the environment that has it; kernels
    run in ours in any case.
    """

    def __init__(
        self,
        folder: Path,
        *,
        theme: str | None = None,
        app: str = "lab",
        python: str = sys.executable,
    ) -> None:
        self.app, self._python = app, python
        self.folder = folder / "notebooks"
        self.folder.mkdir(parents=True)
        self._data, self._config = folder / "data", folder / "config"
        self._register_kernel()
        shutil.copytree(LABEXTENSION, folder / "share" / "labextensions" / "evercell")
        self._write_settings(theme)
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
        is_lab = self.app == "lab"
        module, name = ("jupyterlab", "LabApp") if is_lab else ("notebook", "JupyterNotebookApp")
        return [
            self._python, "-m", module, "--no-browser", "--allow-root",
            "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0", "--IdentityProvider.token=",
            f"--ServerApp.root_dir={self.folder}", f"--{name}.expose_app_in_browser=True",
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

    def _write_settings(self, theme: str | None) -> None:
        settings: dict[str, dict[str, Any]] = dict(_SETTINGS)
        if theme:
            settings["apputils-extension/themes"] = {"theme": theme}
        for name, values in settings.items():
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

    def page_of(self, notebook: str) -> str:
        """The address of an open notebook."""
        path = "lab/tree" if self.app == "lab" else "notebooks"
        return f"http://127.0.0.1:{self.port}/{path}/{notebook}?reset"

    def api(self, path: str) -> Any:
        """What the server's REST API says at `path`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/{path}") as answer:
            return json.load(answer)

    def write(self, name: str, cells: list[str], *, kernel: str = "evercell") -> Path:
        """A notebook with these code cells, for `kernel`."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata["kernelspec"] = {
            "name": kernel, "display_name": kernel, "language": "python",
        }  # fmt: skip
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def kernel_process(self) -> psutil.Process | None:
        """The one kernel that runs now."""
        for kernel in self.api("kernels"):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
                    if any(kernel["id"] in part for part in child.cmdline()):
                        return child
        return None

    def close(self) -> None:
        """Stop the server and its kernels."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


@dataclass
class LabPage:
    """A notebook open in JupyterLab."""

    server: LabServer
    page: Page
    notebook: Path

    def open(self) -> None:
        """Open the notebook, or load the page again, and wait for its kernel."""
        self.reload()
        self.page.wait_for_function(f"{_KERNEL}?.status === 'idle'", timeout=60_000)

    def reload(self) -> None:
        """Load the page again, and wait for the notebook; its kernel may be busy."""
        self.page.goto(self.server.page_of(self.notebook.name))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)

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
        """SIGKILL the kernel's process, and wait until the server has started another."""
        old = self.server.kernel_process()
        assert old is not None
        old.kill()
        wait_until(
            "the killed kernel is gone", lambda: not old.is_running() or old.status() == "zombie"
        )

        def another() -> bool:
            new = self.server.kernel_process()
            return new is not None and new.pid != old.pid

        wait_until("another kernel has started", another)
        self.dismiss_dialogs()
        self.page.wait_for_function(f"{_KERNEL}?.status === 'idle'", timeout=60_000)

    def dismiss_dialogs(self) -> None:
        """Accept what Lab says about a kernel that died, if it says anything."""
        dialog = self.page.locator(".jp-Dialog .jp-mod-accept")
        for _ in range(dialog.count()):
            dialog.first.click()

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


_KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
