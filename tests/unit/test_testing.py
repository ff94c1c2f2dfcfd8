"""The public fakes do what a kernel does."""

from __future__ import annotations

import asyncio
from typing import Any

from evercell.cell.capture import NOTHING
from evercell.cell.outputs import Message
from evercell.errors import UsageError
from evercell.testing import ExecHost


def _run(source: str, namespace: dict[str, Any] | None = None) -> ExecHost:
    host = ExecHost(source, {} if namespace is None else namespace, 3)
    asyncio.run(host.run())
    return host


def test_the_last_expression_is_the_result_and_text_is_joined() -> None:
    host = _run("print('a')\nprint('b', end='')\n1 + 1")
    assert (host.result, host.error, host.ran) == (2, None, True)
    assert [m.msg_type for m in host.messages] == ["stream", "execute_result"]
    assert host.text == "a\nb2"


def test_a_statement_or_none_shows_nothing() -> None:
    assert _run("x = 1").result is NOTHING
    assert _run("None").result is NOTHING


def test_await_works_at_the_top() -> None:
    assert _run("import asyncio\nawait asyncio.sleep(0, 'done')").result == "done"


def test_an_error_is_the_cells() -> None:
    namespace: dict[str, Any] = {}
    host = _run("x = 1\n1 / 0", namespace)
    assert isinstance(host.error, ZeroDivisionError)
    assert host.messages[-1].content["ename"] == "ZeroDivisionError"
    assert namespace["x"] == 1


def test_replayed_messages_and_refusals_are_kept() -> None:
    host = ExecHost("", {})
    reply = host.replay((Message("stream", {"name": "stdout", "text": "again"}),), [1])
    assert (reply["status"], host.text, host.result, host.ran) == ("ok", "again", [1], False)
    assert host.refuse(UsageError("no"))["status"] == "error"
    assert isinstance(host.error, UsageError)
