"""A cell's outputs: the kernel messages it published, in order."""

from __future__ import annotations

from evercell.codec.messages import Message, decode_messages, encode_messages

__all__ = ["VIEW_PREFIX", "Message", "decode_messages", "encode_messages"]

VIEW_PREFIX = "evercell-view-"
"""How the display ids of Evercell's own live views begin: their updates, one a second while a run
goes on, belong to no cell's recorded outputs."""
