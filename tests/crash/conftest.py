"""What the fault tests did, counted and printed at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNTS: Counter[str] = Counter()


@pytest.fixture
def count() -> Callable[[str, int], None]:
    """Adds to the table that is printed at the end: what, how often."""

    def add(what: str, times: int = 1) -> None:
        _COUNTS[what] += times

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _COUNTS:
        return
    terminalreporter.section("faults")
    width = max(map(len, _COUNTS))
    for what, times in _COUNTS.items():
        terminalreporter.write_line(f"{what:<{width}}  {times:>9,}")
