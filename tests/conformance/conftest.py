"""Workflows under a clock that the test moves; each test has a history of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from evercell.engine.workflow.definition import DEFINED
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkflowEnvironment]:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    DEFINED.clear()
    with WorkflowEnvironment(tmp_path / "history") as environment:
        yield environment
