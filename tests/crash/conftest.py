"""What the fault tests did, counted and printed at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNTS: Counter[str] = Counter()
_SENT = "evercell_faults"  # from a process of the tests to the one that prints


@pytest.fixture
def count() -> Callable[[str, int], None]:
    """Adds to the table that is printed at the end: what, how often."""

    def add(what: str, times: int = 1) -> None:
        _COUNTS[what] += times

    return add


def pytest_sessionfinish(session: pytest.Session) -> None:
    sent: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if sent is not None:
        sent[_SENT] = dict(_COUNTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _COUNTS.update(getattr(node, "workeroutput", {}).get(_SENT, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _COUNTS:
        return
    terminalreporter.section("faults")
    width = max(map(len, _COUNTS))
    for what, times in _COUNTS.items():
        terminalreporter.write_line(f"{what:<{width}}  {times:>9,}")
