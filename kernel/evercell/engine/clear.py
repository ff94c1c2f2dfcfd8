"""What people read in the history: text that went through the redactor, or nothing at all.

    source, arguments, result's view, error, outputs, reasons ─ mask Secrets ─ redact ─> the event

With `views=False`, which is the default once a layer encrypts, they are left out of the events;
values, exceptions and outputs are in the payloads, which are encrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from evercell.codec import exceptions, values
from evercell.codec.redaction import mask_literals
from evercell.codec.secret import MASK, mask
from evercell.settings import current

if TYPE_CHECKING:
    from evercell.cell.outputs import Message
    from evercell.codec.values import Encoded
    from evercell.events import Payload

__all__ = ["arguments", "error", "messages", "reason", "source", "text", "view"]

HIDDEN_SOURCE = f"# {MASK}"
_WHOLE = 1 << 16  # characters of JSON that are kept whole as a view
_READ = 1 << 20  # bytes of JSON that SQL would show


def text(value: str) -> str:
    """`value` without Secrets and without what the redactor takes out."""
    value = mask(value)
    redact = current().redact
    if redact is None:
        return value
    try:
        redacted = redact(value)
    except Exception as error:  # noqa: BLE001 - the user's function: rather no text than a leak
        return f"<redact failed: {type(error).__name__}>"
    return redacted if isinstance(redacted, str) else MASK


def source(value: str) -> str:
    """A cell's source."""
    return text(mask_literals(value)) if current().in_clear else HIDDEN_SOURCE


def reason(value: str | None) -> str | None:
    """Why something could not be stored or had to run; may quote what user code said."""
    if value is None:
        return None
    return text(value) if current().in_clear else MASK


def arguments(value: str) -> str:
    """A JSON object by parameter name."""
    if current().in_clear:
        return _json(value)
    return msgspec.json.encode(dict.fromkeys(msgspec.json.decode(value), MASK)).decode()


def view(value: object, encoded: Encoded, payload: Payload) -> str | None:
    """JSON for people beside the payload: where it is no JSON that SQL can read, or where that
    must not be shown as it is."""
    if not current().in_clear:
        return None
    if encoded.view is not None:
        return _json(encoded.view)
    if payload.codec in _READABLE and len(encoded.data) > _READ:
        return None  # nor does SQL show the payload
    shown = str(bytes(encoded.data), "utf-8")
    redacted = _json(shown)
    if payload.codec in _READABLE and redacted == shown:
        return None
    return redacted if len(redacted) <= _WHOLE else _json(values.json_view(value))


_READABLE = ("json", "json+zstd")


def json_view(value: object, encoded: Encoded) -> str | None:
    """JSON for people of a value that SQL can't read from its payload."""
    if not current().in_clear:
        return None
    if encoded.view is not None:
        return _json(encoded.view)
    whole = len(encoded.data) <= _WHOLE
    return _json(str(bytes(encoded.data), "utf-8") if whole else values.json_view(value))


def error(raised: BaseException) -> tuple[str, str, str]:
    """(qualified type name, message, traceback)."""
    name, message, traceback = exceptions.describe(raised)
    if not current().in_clear:
        return name, MASK, ""
    return name, text(message), text(traceback)


def messages(published: tuple[Message, ...]) -> tuple[Message, ...]:
    """A cell's outputs as they are recorded, and shown again when it is restored: Secrets are
    masked everywhere, what else the redactor finds in texts only, for an image is no text."""
    return tuple(_message(message) for message in published)


def _message(message: Message) -> Message:
    content = message.content
    match message.msg_type:
        case "stream" | "error":
            content = _each(content, text)
        case "display_data" | "update_display_data" | "execute_result":
            data = {
                kind: _each(part, text if kind.startswith("text/") else mask)
                for kind, part in content.get("data", {}).items()
            }
            content = {**_each(content, mask), "data": data}
        case _:
            content = _each(content, mask)
    if content == message.content:
        return message
    return msgspec.structs.replace(message, content=content)


def _each(value: Any, change: Any) -> Any:
    """`value` with `change` applied to each text in it, keys excepted."""
    match value:
        case str():
            return change(value)
        case dict():
            return {key: _each(part, change) for key, part in value.items()}
        case list() | tuple():
            return [_each(part, change) for part in value]
        case _:
            return value


def _json(value: str) -> str:
    """JSON text redacted; JSON again, whatever the redactor did to it."""
    redacted = text(value)
    if redacted == value:
        return value
    try:
        msgspec.json.decode(redacted)
    except msgspec.DecodeError:
        return msgspec.json.encode(redacted).decode()
    return redacted
