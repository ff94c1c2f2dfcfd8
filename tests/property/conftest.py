"""Tests sign with a key of their own, never with the developer's."""

from __future__ import annotations

import pytest

from evercell import settings


@pytest.fixture(autouse=True, scope="session")
def _key(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(tmp_path_factory.getbasetemp() / "key"))
        yield


@pytest.fixture(autouse=True, scope="module")
def _every_value_waits(_key: object) -> object:
    """Restored values are loaded when a cell needs them, however small they are."""
    settings.change(lazy_from=0)
    yield
    settings.reset()
