"""What people and other processes can tell a run, and how it gets there.

    submit ─ the run is this process's ─ yes ─> its receiver: recorded, durable
                  └ no ─ letter in the history's inbox (durable) ─┐
    another process's send ───────────────────────────────────────┴─> the process that has the run:
                                    receiver: recorded, durable ─ letter removed

A command has an id, which its event carries, so a letter that is delivered twice (its process was
killed before it could remove it) is carried out once.
"""

from __future__ import annotations

import getpass
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from evercell.codec import values
from evercell.engine import clear
from evercell.engine.recordable import check_recordable
from evercell.errors import PayloadError
from evercell.events import Payload  # noqa: TC001 - msgspec asks for it at run time

if TYPE_CHECKING:
    from evercell.history import History

__all__ = [
    "Answer",
    "CancelActivity",
    "CancelRun",
    "Command",
    "Fork",
    "Receiver",
    "RetryNow",
    "Signal",
    "Skip",
    "Terminate",
    "arguments",
    "as_arguments",
    "decode_command",
    "enclosed",
    "encode_command",
    "opened",
    "send",
    "user",
]


class Command(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Something that a run is told."""

    run_id: str


class Signal(Command, frozen=True):
    """A message by name: see `as_arguments` for the payload."""

    name: str
    payload: Payload | None = None
    view: str | None = None  # JSON for people
    by: str | None = None


class Answer(Command, frozen=True):
    """What a person said to an approval."""

    activity_id: str
    approved: bool
    value: Payload | None = None  # the form's content, JSON
    view: str | None = None
    by: str | None = None
    at: int | None = None  # when it was said, in nanoseconds since the epoch


class CancelRun(Command, frozen=True):
    """Cancel what a workflow, or a notebook's cell, does now."""

    reason: str | None = None
    by: str | None = None


class CancelActivity(Command, frozen=True):
    """Cancel one step, timer or wait."""

    activity_id: str
    reason: str | None = None
    by: str | None = None


class RetryNow(Command, frozen=True):
    """Make a step's next attempt now instead of waiting on."""

    activity_id: str
    by: str | None = None


class Skip(Command, frozen=True):
    """Complete a step with a value, without (or in spite of) its function."""

    activity_id: str
    value: Payload  # JSON
    view: str | None = None
    by: str | None = None


class Terminate(Command, frozen=True):
    """End a workflow at once; its code is not asked."""

    reason: str | None = None
    by: str | None = None


class Fork(Command, frozen=True):
    """Fork a workflow's run; `run_id` is that of the notebook whose kernel carries it."""

    origin: str  # run_id of the run whose history is shared
    new_run: str  # run_id of the fork
    at: str | None = None
    overrides: Payload | None = None  # dict: step -> JSON data
    accept_edits: bool = False
    workflow_id: str | None = None


AnyCommand = Signal | Answer | CancelRun | CancelActivity | RetryNow | Skip | Terminate | Fork

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)


def encode_command(command: Command) -> bytes:
    """The command as MessagePack."""
    return _encoder.encode(command)


def decode_command(data: bytes) -> Command:
    """The command that `encode_command` made. Raises `msgspec.DecodeError` on anything else."""
    return _decoder.decode(data)


class Receiver(Protocol):
    """Who has a run and takes its commands."""

    def receive(self, command_id: str, command: Command) -> None:
        """Record the command, with its id, and have it carried out; durable on return.

        A command whose id is recorded already is left alone. Called from any thread; must not wait
        for user code. Raises UsageError, with nothing recorded, for what does not fit the run (an
        approval that nobody asked for), and HistoryWriteError.
        """
        ...


def send(history: History, command: Command, command_id: str | None = None) -> str:
    """Leave the command in the inbox of `history` for the process that has the run, now or later.
    `command_id`: its own, where it may be sent twice and is to be carried out once.

    It is durable when this returns its id. Raises HistoryWriteError.
    """
    return history.inbox.put(command.run_id, encode_command(command), command_id)


def user() -> str:
    """The name of who runs this process, for `by`."""
    with suppress(KeyError, OSError):  # a user id without a name
        return getpass.getuser()
    return "unknown"


def enclosed(history: History, value: object, live: dict[str, Any]) -> tuple[Payload, str | None]:
    """A value for a command, all its bytes inside, and its view for people. Raises
    NotStorableError, and UsageError for more than 16 MiB."""
    encoded = values.encode(value, live)
    check_recordable(encoded.data)
    payload = history.enclose(bytes(encoded.data), encoded.codec)
    return payload, clear.view(value, encoded, payload)


def opened(history: History, payload: Payload) -> Payload:
    """The payload of a command as one that an event may hold: a large value in a file of its own.
    Raises PayloadError unless this user made it, HistoryWriteError."""
    return history.put(history.get(payload), payload.encoding)


def as_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
    """What a signal's payload holds: [args, kwargs]; None for a signal without any."""
    return [list(args), kwargs] if args or kwargs else None


def arguments(
    history: History, payload: Payload | None, live: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(args, kwargs) of a signal's payload. Raises PayloadError, RestoreError."""
    if payload is None:
        return (), {}
    decoded = values.decode(payload.encoding, history.get(payload), live)
    try:
        args, kwargs = decoded
        return tuple(args), dict(kwargs)
    except (TypeError, ValueError):
        raise PayloadError(
            "A signal's recorded arguments are not [args, kwargs]; another release of Evercell "
            "wrote them. Send the signal again."
        ) from None
