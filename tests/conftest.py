"""Both cores: `make test` shares the files out over three processes, as each often waits for a
kernel or a page. The long ones go first, so that no process is left alone with one at the end. The
browser tests are one piece of work: two browsers side by side would wait for each other.
"""

from __future__ import annotations

import signal
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evercell.loading import import_jsonschema

if TYPE_CHECKING:
    from collections.abc import Sequence

_TESTS = Path(__file__).parent
_BROWSER = "tests/browser/"
_LONG: Sequence[str] = (
    "browser/",
    "crash/test_kill_demo.py",
    "demo/test_demo.py",
    "property/test_notebooks.py",
    "kernel/test_restore.py",
    "tutorials/",
    "crash/",
    "zoo/",
    "conformance/aws/",
    "kernel/",
    "conformance/",
    "unit/test_engine",
)  # then the rest

import_jsonschema()  # the tests import nbformat


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Files in the order in which they are collected, and the browser tests as one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _BROWSER if nodeid.startswith(_BROWSER) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_configure() -> None:
    """A shell that runs a script begins what it puts into the background (`make test &`) with
    SIGINT ignored, and each process passes that on: servers and kernels of fixtures, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(_TESTS).as_posix()
    return next((n for n, long in enumerate(_LONG) if path.startswith(long)), len(_LONG))


@pytest.fixture(autouse=True)
def _interrupts(request: pytest.FixtureRequest) -> None:
    """Each test is interrupted as Python does it, whatever the one before left behind."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    if before is not signal.default_int_handler:
        name = request.node.nodeid
        warnings.warn(f"SIGINT was handled by {before!r} before {name}", stacklevel=1)
