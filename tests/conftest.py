"""Both cores: `make test` shares the files out over two processes.

The long ones go first, so that neither process is left alone with one at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    area = item.path.relative_to(_TESTS).parts[0]
    return _ORDER.index(area) if area in _ORDER else len(_ORDER)
