"""The straight way of a step through its attempts, which nearly all take.

    open ─ started ─ body ─ store ─ commit ─ give
                      └ raised, or an order came, or its value can't be stored ─> Attempts.run

The moves are those of attempts.py, in their order, and leave the same events; only no effect is
made of each. Calls with limits of time or place, at most once, or with arguments that their body
may change don't come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.engine.attempts import drive, drive_async
from evercell.engine.body import UNLIMITED, Ended, call, call_async
from evercell.engine.usage import usage_of
from evercell.errors import HistoryWriteError, NotStorableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from evercell.engine.attempts import Attempts
    from evercell.engine.recorder import Recorded, Stored
    from evercell.events import Event

__all__ = ["perform", "perform_async"]

_SECOND = 1_000_000_000


def perform(
    attempts: Attempts, recorder: Recorded, body: Callable[[], Any], commit: Callable[..., None]
) -> Any:
    """As `attempts.drive`, for a call without limits."""
    __tracebackhide__ = True
    control, monotonic = attempts.control, recorder.clock.monotonic
    attempt = control.attempt = recorder.first
    recorder.open(control)
    try:
        context = recorder.context(control, attempt, None)
        recorder.started(attempt)
        value, raised = None, None
        begin = monotonic()
        attempts.entered = True
        try:
            value = call(body, UNLIMITED, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded
            raised = error
        except BaseException as stop:
            attempts.stopped(context, stop)
            raise
        context.close(flush=raised is not None)
        ended = Ended(context, int((monotonic() - begin) * _SECOND), value, raised)
        del value  # large ones are held no longer than until they are stored
        concluded = _conclude(recorder, ended)
        if concluded is None:
            return drive(attempts, body, commit, ended)
        event, stored = concluded
        commit(event)
        return recorder.give(attempt, stored)
    finally:
        control.close()
        recorder.close(control)


async def perform_async(
    attempts: Attempts,
    recorder: Recorded,
    body: Callable[[], Awaitable[Any]],
    commit: Callable[..., Awaitable[None]],
) -> Any:
    """As `attempts.drive_async`, for a call without limits."""
    __tracebackhide__ = True
    control, monotonic = attempts.control, recorder.clock.monotonic
    attempt = control.attempt = recorder.first
    recorder.open(control)
    try:
        context = recorder.context(control, attempt, None)
        recorder.started(attempt)
        value, raised = None, None
        begin = monotonic()
        attempts.entered = True
        try:
            value = await call_async(body, UNLIMITED, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded
            raised = error
        except BaseException as stop:
            attempts.stopped(context, stop)
            raise
        context.close(flush=raised is not None)
        ended = Ended(context, int((monotonic() - begin) * _SECOND), value, raised)
        del value  # large ones are held no longer than until they are stored
        concluded = _conclude(recorder, ended)
        if concluded is None:
            return await drive_async(attempts, body, commit, ended)
        event, stored = concluded
        await commit(event)
        return recorder.give(attempt, stored)
    finally:
        control.close()
        recorder.close(control)


def _conclude(recorder: Recorded, ended: Ended) -> tuple[Event, Stored] | None:
    """The event of what the body returned, to be recorded; None for all else that may follow."""
    context, value = ended.context, ended.value
    if ended.raised is not None or context.control.close() is not None:
        return None
    try:
        stored = recorder.store(value)
    except (NotStorableError, HistoryWriteError):
        return None
    if not context.reported and (usage := usage_of(value)):
        recorder.usage(context.attempt, usage)
    return recorder.completion(context.attempt, ended.take(), stored, ended.duration), stored
