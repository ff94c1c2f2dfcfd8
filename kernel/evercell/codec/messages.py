"""The kernel messages that a cell published, as bytes and back: the codec "messages"."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Message", "decode_messages", "encode_messages"]


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
    """What `encode_messages` was given. Raises `msgspec.DecodeError` on anything else."""
    return _decoder.decode(data)
