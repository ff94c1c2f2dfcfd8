"""What a headless run waits for, in words, with the command that answers. Pure."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evercell import events as ev
from evercell.jupyter.headless import Awaited

if TYPE_CHECKING:
    from evercell.events import Event

__all__ = ["awaited_of", "waiting_lines"]

_SECOND = 1_000_000_000
_SHORT = 5 * _SECOND  # timers that end sooner are not worth a line


def awaited_of(event: Event) -> Awaited | None:
    """What begins to wait with this event, if it is worth a line."""
    match event:
        case ev.ApprovalRequested(run_id=run_id, prompt=prompt):
            return Awaited("approval", prompt, run_id, event.expires_at, event.schema)
        case ev.SignalAwaited(run_id=run_id, name=name):
            return Awaited("signal", name, run_id, event.expires_at)
        case ev.ConditionAwaited(run_id=run_id, name=name):
            return Awaited("condition", name, run_id, event.expires_at)
        case ev.TimerStarted(run_id=run_id, name=name) if event.cell:
            long = event.fire_at - event.at >= _SHORT
            return Awaited("timer", name, run_id, event.fire_at) if long else None
        case _:
            return None


def waiting_lines(awaited: Awaited, where: str) -> list[str]:
    """What is waited for, and the commands that end it. `where`: the option that names the history,
    if one is needed."""
    option = f" {where}" if where else ""
    run_id, name = awaited.run_id, " ".join(awaited.name.split())
    match awaited.kind:
        case "timer":
            return [f"waiting{_until(awaited)}: {name}"]
        case "condition":
            return [f"waiting for a condition{_until(awaited)}: {name}"]
        case "signal":
            command = f"evercell signal {run_id} {shlex.quote(name)}{option}"
            return [f"waiting for signal {name!r}{_until(awaited)}", f"  send it: {command}"]
        case "approval":
            form = f" --value {shlex.quote(_form(awaited.schema))}" if awaited.schema else ""
            return [
                f"waiting for you{_until(awaited)}: {name}",
                f"  say yes: evercell approve {run_id}{form}{option}",
                f"  say no:  evercell reject {run_id}{option}",
            ]


def _form(schema: str) -> str:
    """The form's fields, to fill in."""
    fields = json.loads(schema).get("properties", {})
    return "{" + ", ".join(f"{json.dumps(field)}: ..." for field in fields) + "}"


def _until(awaited: Awaited) -> str:
    if awaited.until is None:
        return ""
    moment = datetime.fromtimestamp(awaited.until / _SECOND, UTC).astimezone()
    return f" until {moment:%Y-%m-%d %H:%M:%S}"
