"""A cell's outputs: the kernel messages it published, in order, as bytes and back."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["VIEW_PREFIX", "Message", "decode_messages", "encode_messages"]

VIEW_PREFIX = "evercell-view-"
"""How the display ids of Evercell's own live views begin: their updates, one a second while a run
goes on, belong to no cell's recorded outputs."""


class Message(msgspec.Struct, frozen=True, array_like=True):
    """One published message of the Jupyter protocol.

    `msg_type` is one of stream, display_data, update_display_data, execute_result, error,
    clear_output, or a comm message; `content` and `metadata` are as sent; `buffers` are the binary
    parts.
    """

    msg_type: str
    content: dict[str, Any]
    metadata: dict[str, Any] = {}
    buffers: tuple[bytes, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Message, ...])


def encode_messages(messages: tuple[Message, ...]) -> bytes:
    """The messages as MessagePack. Their contents must be JSON-like, as the protocol demands."""
    return _encoder.encode(messages)


def decode_messages(data: bytes) -> tuple[Message, ...]:
    """What `encode_messages` was given."""
    return _decoder.decode(data)
