"""Both cores: `make test` shares the files out over two processes.

pytest-xdist begins with the files of most tests. Of those with as many, the long ones go first, so
that neither process is left alone with one at the end.
"""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evercell.loading import import_jsonschema

if TYPE_CHECKING:
    from collections.abc import Sequence

_TESTS = Path(__file__).parent
_ORDER: Sequence[str] = (
    "browser",
    "crash",
    "tutorials",
    "conformance",
    "property",
    "kernel",
    "zoo",
)  # then the rest

import_jsonschema()  # the tests import nbformat
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # kernels write it, as those of most users do


def pytest_configure() -> None:
    """A shell that runs a script begins what it puts into the background (`make test &`) with
    SIGINT ignored, and each process passes that on: servers and kernels of fixtures, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    area = item.path.relative_to(_TESTS).parts[0]
    return _ORDER.index(area) if area in _ORDER else len(_ORDER)


@pytest.fixture(autouse=True)
def _interrupts(request: pytest.FixtureRequest) -> None:
    """Each test is interrupted as Python does it, whatever the one before left behind."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    if before is not signal.default_int_handler:
        name = request.node.nodeid
        warnings.warn(f"SIGINT was handled by {before!r} before {name}", stacklevel=1)
