"""The default redactor masks keys and leaves ordinary text alone."""

from __future__ import annotations

import pytest

from evercell.codec.redaction import mask_keys, mask_literals


@pytest.mark.parametrize(("text", "masked"), [
    ("key sk-proj-abcDEF1234567890_-xyz.", "key sk-***."),
    ("sk-ant-api03-AAAABBBBCCCC1111", "sk-***"),
    ("AKIAIOSFODNN7EXAMPLE and more", "AKIA*** and more"),
    ("Authorization: Bearer abc123.def456-ghi789", "Authorization: Bearer ***"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_***"),
    ("xoxb-1234567890-abcdef", "xoxb-***"),
    ("AIza" + "a1" * 17 + "b", "AIza***"),
    ("postgresql://ann:pa55word@db.example/x", "postgresql://ann:***@db.example/x"),
    ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF", "eyJ***"),
    ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
     "-----BEGIN PRIVATE KEY-----***\n"),
])  # fmt: skip
def test_keys_are_masked(text: str, masked: str) -> None:
    assert mask_keys(text) == masked
    assert mask_keys(masked) == masked


@pytest.mark.parametrize("text", [
    "task-management-in-2024-and-beyond", "a risk-assessment2024-of-everything-there-is",
    "sk-learn", "the bearer of bad news", "http://localhost:8080/path", "AKIA", "ghost_town",
    '{"token": "a word", "password": null}', "see https://example.org/a:b@c",
])  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    assert mask_keys(text) == text


@pytest.mark.parametrize(("source", "masked"), [
    ('k = Secret("a\\"b")', 'k = Secret("***")'),
    ("k = evercell.Secret( 'abc' )", "k = evercell.Secret( \"***\" )"),
    ('AesGcm(b"0123456789abcdef")', 'AesGcm("***")'),
    ('Secret("""a\nb""")', 'Secret("***")'),
    ('Secret.env("NAME")', 'Secret.env("NAME")'),
    ("Secret(name)", "Secret(name)"),
])  # fmt: skip
def test_literal_secrets_in_source(source: str, masked: str) -> None:
    assert mask_literals(source) == masked.replace('AesGcm("', 'AesGcm(b"')
