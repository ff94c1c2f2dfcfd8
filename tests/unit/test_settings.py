"""Options: all or none, wrong ones refused."""

from __future__ import annotations

import pytest

import evercell
from evercell import AesGcm, settings
from evercell.codec.layers import ZSTD
from evercell.codec.redaction import mask_keys
from evercell.errors import UsageError


def test_what_is_not_given_stays() -> None:
    evercell.configure(compress=False)
    evercell.configure(views=True)
    assert settings.current().compress is False
    assert settings.current().views is True
    settings.reset()
    assert settings.current() == settings.Settings()


@pytest.mark.parametrize("options", [
    {"codecs": None}, {"codec": "zstd"}, {"redact": 3}, {"views": "no"}, {"compress": None},
    {"codec": [AesGcm(bytes(32)), AesGcm(bytes(32))]},
])  # fmt: skip
def test_wrong_options_change_nothing(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        evercell.configure(**{"compress": False, **options})
    assert settings.current() == settings.Settings()


def test_layers() -> None:
    evercell.configure(codec=[ZSTD, AesGcm(bytes(32))])
    assert [layer.name for layer in settings.current().layers] == ["zstd", "aes-gcm"]
    evercell.configure(codec=None)
    assert settings.current().layers == ()


def test_with_encryption_nothing_is_in_clear_unless_asked_for() -> None:
    assert settings.current().in_clear
    evercell.configure(codec=AesGcm(bytes(32)))
    assert not settings.current().in_clear
    evercell.configure(views=True)
    assert settings.current().in_clear
    evercell.configure(codec=None, views=False)
    assert not settings.current().in_clear


def test_redactors() -> None:
    assert settings.current().redact is mask_keys
    evercell.configure(redact=False)
    assert settings.current().redact is None
    evercell.configure(redact=str.upper)
    assert settings.current().redact is str.upper
    evercell.configure(redact=True)
    assert settings.current().redact is mask_keys
