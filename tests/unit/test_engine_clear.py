"""Text for people: masked, redacted, or left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

import evercell
from evercell import Secret
from evercell.cell.outputs import Message
from evercell.codec import values
from evercell.engine import clear
from evercell.events import Payload

KEY = "sk-abcdefgh12345678"


def test_json_stays_json_whatever_the_redactor_does() -> None:
    assert clear.arguments(json.dumps({"key": KEY})) == '{"key": "sk-***"}'
    evercell.configure(redact=lambda text: text.replace('"', ""))
    assert json.loads(clear.arguments('{"a":"b"}')) == "{a:b}"


def test_a_redactor_that_fails_leaks_nothing() -> None:
    def broken(text: str) -> str:
        raise KeyError(text)

    evercell.configure(redact=broken)
    assert clear.text(KEY) == "<redact failed: KeyError>"
    evercell.configure(redact=lambda text: None)
    assert clear.text(KEY) == "***"


def test_secrets_are_masked_without_a_redactor_too() -> None:
    Secret("open sesame")
    evercell.configure(redact=False)
    assert clear.text(f"open sesame {KEY}") == f"*** {KEY}"


def view_of(value: object, codec: str | None = None) -> str | None:
    encoded = values.encode(value, {})
    return clear.view(value, encoded, Payload(b"", codec or encoded.codec, len(encoded.data)))


def test_a_result_that_sql_can_read_needs_no_view() -> None:
    assert view_of({"a": 1}) is None
    assert view_of({"a": 1}, "json+zstd") is None
    assert view_of({"a": 1}, "json+rot13") == '{"a":1}'
    assert view_of((1,)) == "[1]"


def test_a_result_with_a_key_gets_a_masked_view() -> None:
    assert view_of({"a": KEY}) == '{"a":"sk-***"}'
    assert view_of({"a": KEY, "b": "x" * 100_000}, "json+zstd") is not None


def test_nothing_in_clear() -> None:
    evercell.configure(views=False)
    assert clear.arguments('{"prompt":"hi","n":1}') == '{"prompt":"***","n":"***"}'
    assert view_of((1,)) is None
    assert clear.source("x = 1") == "# ***"
    assert clear.reason("it holds 'hi'") == "***"
    assert clear.error(ValueError("hi")) == ("ValueError", "***", "")


@pytest.mark.parametrize(("kind", "content", "kept"), [
    ("stream", {"name": "stdout", "text": KEY}, {"name": "stdout", "text": "sk-***"}),
    ("error", {"traceback": [KEY]}, {"traceback": ["sk-***"]}),
    ("execute_result", {"data": {"text/plain": KEY, "image/png": KEY}},
     {"data": {"text/plain": "sk-***", "image/png": KEY}}),
    ("display_data", {"data": {"application/json": {"a": ["open sesame"]}}},
     {"data": {"application/json": {"a": ["***"]}}}),
    ("comm_msg", {"data": {"state": {"value": "open sesame"}}},
     {"data": {"state": {"value": "***"}}}),
])  # fmt: skip
def test_outputs(kind: str, content: dict[str, Any], kept: dict[str, Any]) -> None:
    Secret("open sesame")
    assert clear.messages((Message(kind, content),)) == (Message(kind, kept),)


def test_outputs_without_keys_are_the_same_objects() -> None:
    message = Message("display_data", {"data": {"text/plain": "fine"}, "metadata": {}})
    assert clear.messages((message,))[0] is message
