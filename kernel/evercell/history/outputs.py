"""What cells showed, as rows of `store.output`: SQL can't decode MessagePack.

    CellCompleted.outputs ─ messages ─ a row each: kind, mime, text for people, JSON of the rest

Texts and JSON over 64 KiB stay in the payload, which each row names; pictures always do. What can't
be read here - encrypted, missing, another user's, very large - is one row without a kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.codec.messages import Message, decode_messages
from evercell.errors import PayloadError
from evercell.events import CellCompleted, CellFailed, Payload

if TYPE_CHECKING:
    import duckdb

    from evercell.events import Event

__all__ = ["Fetch", "OutputRow", "insert_outputs", "output_rows", "remove_orphans"]

Fetch = Callable[[Payload], bytes]
OutputRow = tuple[object, ...]

_COLUMNS = (
    "writer", "position", "run_id", "activity_id", "ordinal", "kind", "name", "mime", "text",
    "data", "size", "payload_id",
)  # fmt: skip

SHOWN_LIMIT = 64 * 1024  # bytes of text, and of JSON, of one message
DECODED_LIMIT = 16 << 20  # stored bytes of a cell's outputs; more would slow the fold down
_CODECS = ("messages", "messages+zstd")
_MIMES = (  # the richest first, as frontends choose
    "application/vnd.jupyter.widget-view+json",
    "application/json",
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "text/latex",
    "image/png",
    "image/jpeg",
)
_READABLE = ("text/markdown", "text/latex", "text/plain")  # for people, the best first
_PLACEHOLDER = re.compile(r"<IPython\.core\.display\.\w+ object>|<\w+ size \w+ with .*>")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_encode = msgspec.json.Encoder().encode


def output_rows(event: Event, writer: str, position: int, fetch: Fetch) -> list[OutputRow]:
    """The rows of a cell's end, which is the event of `writer` at `position`; of others, none."""
    if not isinstance(event, CellCompleted | CellFailed) or event.outputs is None:
        return []
    payload = event.outputs
    place = writer, position, event.run_id, event.activity_id
    messages = _messages(payload, fetch)
    if messages is None:
        return [(*place, 0, None, None, None, None, None, payload.size, payload.id)]
    return [
        (*place, ordinal, *_shown(message), payload.id) for ordinal, message in enumerate(messages)
    ]


def _messages(payload: Payload, fetch: Fetch) -> tuple[Message, ...] | None:
    if payload.codec not in _CODECS or payload.size > DECODED_LIMIT:
        return None
    try:
        return decode_messages(fetch(payload))
    except (PayloadError, msgspec.DecodeError):
        return None  # whoever loads it is told what is wrong


def _shown(message: Message) -> OutputRow:
    """kind, name, mime, text, data and size of a message."""
    content = message.content
    size = len(msgspec.msgpack.encode(message))
    match message.msg_type:
        case "stream":
            return (
                "stream", _text(content.get("name")), "text/plain", _kept(content.get("text")),
                None, size,
            )  # fmt: skip
        case "error":
            lines = content.get("traceback") or [content.get("evalue", "")]
            text = _ANSI.sub("", "\n".join(map(str, lines)))
            name = _text(content.get("ename"))
            return "error", name, "text/plain", _kept(text), None, size
        case kind:
            bundle = content.get("data")
            bundle = bundle if isinstance(bundle, dict) else {}
            return kind, None, _mime(bundle), _kept(_readable(bundle)), _data(bundle), size


def _mime(bundle: dict[str, Any]) -> str | None:
    for mime in (*_MIMES, *bundle):
        if mime in bundle and mime != "text/plain":
            return mime
    return "text/plain" if bundle else None


def _readable(bundle: dict[str, Any]) -> str | None:
    for mime in _READABLE:
        text = bundle.get(mime)
        if isinstance(text, str) and not (mime == "text/plain" and _PLACEHOLDER.fullmatch(text)):
            return text
    for mime, part in bundle.items():
        if mime == "text/plain" or not _is_text(mime):
            continue
        return part if isinstance(part, str) else _json(part)
    return None


def _data(bundle: dict[str, Any]) -> str | None:
    """JSON of the bundle's texts, where there are more than the plain one."""
    texts = {mime: part for mime, part in bundle.items() if _is_text(mime)}
    if not texts.keys() - {"text/plain"}:
        return None
    return _kept(_json(texts))


def _is_text(mime: str) -> bool:
    return mime.startswith("text/") or mime.endswith(("json", "xml", "javascript"))


def _json(value: object) -> str | None:
    try:
        return _encode(value).decode()
    except (UnicodeEncodeError, TypeError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _kept(text: object) -> str | None:
    """`text` as DuckDB takes it; None if it is too long to be shown."""
    if not isinstance(text, str):
        return None
    encoded = text.encode(errors="replace")
    return encoded.decode() if len(encoded) <= SHOWN_LIMIT else None


def insert_outputs(connection: duckdb.DuckDBPyConnection, rows: Sequence[OutputRow]) -> None:
    """Append rows that `output_rows` made; inside of a transaction."""
    if rows:
        with connection.appender("store.output", columns=list(_COLUMNS)) as appender:
            appender.append_rows(list(rows))


def remove_orphans(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete the rows whose event is gone; inside of a transaction."""
    connection.execute(
        """DELETE FROM store.output o WHERE NOT EXISTS (
            FROM store.event e WHERE e.writer = o.writer AND e.position = o.position)"""
    )
