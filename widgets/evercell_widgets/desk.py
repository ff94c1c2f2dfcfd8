"""Actions as commands: the desk of a kernel's own session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from evercell.clock import SystemClock, id_for
from evercell.engine import commands
from evercell.engine.fate import fate_of
from evercell.engine.forks import record_fork
from evercell.engine.forms import check_answer
from evercell.engine.telling import carried, fork_of
from evercell.engine.workflow.forking import next_step
from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.events import Payload
    from evercell.history import History
    from evercell.history.inbox import Inbox
    from evercell_widgets.actions import Action
    from evercell_widgets.state import Wait

__all__ = ["CommandDesk", "Commands", "Letters"]

_PATIENCE = 3.0  # seconds; a kernel looks five times a second, and a page waits for ten


class Commands(Protocol):
    """Who takes commands; `session.commands` is one."""

    def takes(self, run_id: str) -> bool:
        """Whether a command for the run is carried out here, at once."""
        ...

    def submit(self, command: commands.Command, command_id: str | None = None) -> str:
        """Have it carried out; durable when this returns its id. `command_id`: its own, where it
        may come twice and is to be carried out once. Raises EvercellError."""
        ...


class Letters:
    """Commands for a run that another process may have: it finds them in the history's inbox."""

    def __init__(self, commands: Commands, inbox: Inbox, is_over: Callable[[], bool]) -> None:
        """`is_over`: whether no process has the run."""
        self._commands, self._inbox, self._is_over = commands, inbox, is_over

    def takes(self, run_id: str) -> bool:
        """See `Commands`; or soon, by the process that has it."""
        return self._commands.takes(run_id) or not self._is_over()

    def submit(self, command: commands.Command, command_id: str | None = None) -> str:
        """See `Commands`. Raises what the other process refuses it with, if it does so soon."""
        here = self._commands.takes(command.run_id)
        letter = self._commands.submit(command, command_id)
        if not here:
            fate_of(self._inbox, letter, patience=_PATIENCE, lives=lambda: not self._is_over())
        return letter


class CommandDesk:
    """Makes a command of each action. An answer is checked against its approval's schema before
    anything is recorded."""

    def __init__(self, history: History, takes: Commands, live: dict[str, Any]) -> None:
        self._history = history
        self._commands = takes
        self._live = live

    def takes(self, run_id: str) -> bool:
        """See `actions.Desk`."""
        return self._commands.takes(run_id)

    def act(self, action: Action, pending: Callable[[str], Wait | None]) -> str | None:
        """See `actions.Desk`."""
        if action.deed == "fork":
            return self._fork(action)
        if not self.takes(action.run_id):
            raise UsageError(
                "This kernel takes no commands for that run now. For a cell, use Interrupt; a "
                "workflow goes on when its definition has run again."
            )
        if action.deed in {"approve", "reject"}:
            wait = None if action.activity_id is None else pending(action.activity_id)
            self._commands.submit(self._answer(action, wait), _command_id(action))
        else:
            self._commands.submit(self._command(action), _command_id(action))
        return None

    def _fork(self, action: Action) -> str | None:
        if action.activity_id is None or not action.has_value:
            raise UsageError("A fork needs a step and its result, null for none.")
        run_id, overrides = action.run_id, {action.activity_id: action.value}
        if carried(self._history, run_id).workflow != "notebook":
            fork = self._fork_of_workflow(action, action.activity_id)
            self._commands.submit(fork, _command_id(action))
            return None
        # Nothing but the history is needed for it, so it is no command to a kernel.
        forked = record_fork(
            self._history, SystemClock(), run_id, overrides, self._live, new_run=_new_run(action)
        )
        return (
            f"Saved as run {forked[:5]}, the notebook's current run from now on. To go on in it, "
            "Resume: restart the kernel and run all cells."
        )

    def _fork_of_workflow(self, action: Action, step: str) -> commands.Fork:
        """All up to the step is shared; what the run asked for after it is asked anew."""
        run_id = action.run_id
        at = next_step(self._history.events(run_id), step)
        new_run = _new_run(action)
        overrides, accepted = {step: action.value}, action.accepted
        command = fork_of(self._history, run_id, new_run, at, overrides, accepted, None)
        if not self.takes(command.run_id):
            raise UsageError("No kernel carries that run now. Open its notebook and run its cells.")
        return command

    def _command(self, action: Action) -> commands.Command:
        by = commands.user()
        run, activity = action.run_id, action.activity_id
        match action.deed:
            case "signal":
                value = commands.as_arguments((action.value,) if action.has_value else (), {})
                payload, view = (None, None) if value is None else self._enclosed(value)
                return commands.Signal(run, action.name, payload, view, by)
            case "terminate":
                return commands.Terminate(run, by=by)
            case "cancel" if activity is not None:
                return commands.CancelActivity(run, activity, by=by)
            case "cancel":
                return commands.CancelRun(run, by=by)
            case "retry" if activity is not None:
                return commands.RetryNow(run, activity, by=by)
            case "skip" if activity is not None:
                if not action.has_value:
                    raise UsageError("A skipped step needs a value, null for none.")
                payload, view = self._enclosed(action.value)
                return commands.Skip(run, activity, payload, view, by=by)
            case _:
                raise UsageError("This needs one step, and none is named.")

    def _answer(self, action: Action, wait: Wait | None) -> commands.Answer:
        if wait is None:
            raise UsageError("This approval is not pending: it was answered, or gave up.")
        by, approved = commands.user(), action.deed == "approve"
        if not approved or wait.schema is None:
            return commands.Answer(wait.run_id, wait.activity_id, approved, by=by)
        check_answer(wait.schema, action.value)
        payload, view = self._enclosed(action.value)
        return commands.Answer(wait.run_id, wait.activity_id, approved, payload, view, by)

    def _enclosed(self, value: object) -> tuple[Payload, str | None]:
        return commands.enclosed(self._history, value, self._live)


def _command_id(action: Action) -> str | None:
    """The same each time that the page asks: a kernel may have died before it answered."""
    return id_for(action.asked, 16) if action.asked else None


def _new_run(action: Action) -> str:
    """The id of the fork that is asked for, the same each time."""
    return id_for(f"{action.asked} run") if action.asked else SystemClock().new_id()
