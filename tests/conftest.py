"""Both cores: files are shared out over two processes, those of the browser stay together.

A file's tests share kernels, and the browser's share a server: neither is to be started twice. The
long files go first, so that neither process is left alone with one at the end.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_TOGETHER = frozenset({"browser"})
_ORDER = (
    "browser",
    "crash",
    "tutorials",
    "conformance",
    "property",
    "kernel",
    "zoo",
)  # then the rest


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.pluginmanager.has_plugin("xdist"):
        return
    items.sort(key=_rank)
    for item in items:
        place = item.path.relative_to(_TESTS)
        group = place.parts[0] if place.parts[0] in _TOGETHER else place.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))


def _rank(item: pytest.Item) -> int:
    area = item.path.relative_to(_TESTS).parts[0]
    return _ORDER.index(area) if area in _ORDER else len(_ORDER)
