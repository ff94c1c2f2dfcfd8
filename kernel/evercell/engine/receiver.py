"""What people and other processes tell a notebook's run: commands, recorded once and carried out.

Post ─ receive ─ known? ─ no ─> fits? ─ its event, with the command's id ─ durable
                                          └─> waitlist.py (who waits is woken)
                                              control.py  (a step under way is told)
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from evercell.codec import values
from evercell.engine import clear, commands
from evercell.engine.forms import check_answer
from evercell.errors import UsageError
from evercell.events import (
    ApprovalAnswered,
    ApprovalRequested,
    CancelRequested,
    CommandReceived,
    SignalReceived,
    StepCompleted,
    TimerCanceled,
    TimerFired,
    TimerStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.control import Control
    from evercell.engine.pending import Pending
    from evercell.engine.run import Run
    from evercell.engine.waitlist import WaitList
    from evercell.events import Payload

__all__ = ["NotebookReceiver", "interrupt_main_thread"]


class NotebookReceiver:
    """Takes the commands of one notebook's run, for as long as this process is attached to it."""

    def __init__(
        self,
        run: Run,
        waits: WaitList,
        live: dict[str, Any],
        *,
        running: Callable[[], bool],
        interrupt: Callable[[], None],
        fork: Callable[[commands.Fork], None],
    ) -> None:
        """`running`: whether a cell runs; `interrupt` breaks it off, from any thread; `fork` forks
        a workflow's run, once."""
        self._run = run
        self._waits = waits
        self._live = live
        self._running = running
        self._interrupt = interrupt
        self._fork = fork

    def receive(self, command_id: str, command: commands.Command) -> None:
        """See `engine.commands.Receiver`. Raises UsageError, PayloadError, HistoryWriteError, and
        what reading the history raises."""
        if isinstance(command, commands.Fork):
            self._fork(command)
            return
        after: Callable[[], None] | None = None
        with self._waits.exclusive():
            if not self._waits.knows(command_id):
                after = self._carry_out(command_id, command)
        self._run.history.commit()
        if after is not None:
            after()

    def _carry_out(self, command_id: str, command: commands.Command) -> Callable[[], None] | None:
        """Record the command; what else is to be done once that is durable."""
        match command:
            case commands.Signal():
                self._signal(command_id, command)
            case commands.Answer():
                self._answer(command_id, command)
            case commands.CancelRun():
                return self._cancel_run(command_id, command)
            case commands.CancelActivity():
                self._cancel(command_id, command)
            case commands.RetryNow():
                received = self._received(command_id, "retry now", command)
                self._control(command.activity_id).retry_now(lambda: self._waits.record(received))
            case commands.Skip():
                self._skip(command_id, command)
            case _:
                raise UsageError(
                    "a notebook's run can't be terminated as a workflow's can. Interrupt its cell "
                    "with evercell cancel, or shut its kernel down."
                )
        return None

    # -- each of them -------------------------------------------------------------------------

    def _signal(self, command_id: str, command: commands.Signal) -> None:
        payload = None if command.payload is None else self._opened(command.payload)
        name, view, now = command.name, command.view, self._run.clock.now()
        event = SignalReceived(self._run.run_id, now, command_id, name, payload, view, command.by)
        self._waits.check(event)
        self._waits.record(event)

    def _answer(self, command_id: str, command: commands.Answer) -> None:
        wait = self._waits.find(command.activity_id)
        now = self._run.clock.now()
        if wait is None or not isinstance(wait.begun, ApprovalRequested):
            asked = ", ".join(it.activity_id for it in self._waits.approvals()) or "none"
            raise UsageError(
                f"run {self._run.run_id} asked for no approval {command.activity_id!r}. Those that "
                f"can be answered: {asked}."
            )
        _require_open(wait)
        if wait.due is not None and (command.at or now) >= wait.due:
            raise UsageError(f"the answer to {wait.begun.prompt!r} came too late.")
        payload = None if command.value is None else self._opened(command.value)
        if command.approved:
            check_answer(wait.begun.schema, self._decoded(payload))
        self._waits.record(
            ApprovalAnswered(
                run_id=self._run.run_id,
                at=now,
                activity_id=command.activity_id,
                approved=command.approved,
                payload=payload if command.approved else None,
                view=command.view,
                by=command.by,
                command_id=command_id,
            )
        )

    def _cancel_run(self, command_id: str, command: commands.CancelRun) -> Callable[[], None]:
        if not self._running():
            raise UsageError(
                f"no cell of run {self._run.run_id} runs now, so there is nothing to cancel. Its "
                "workflows have runs of their own."
            )
        self._waits.record(self._cancel_requested(command_id, command, None))
        return self._interrupt

    def _cancel(self, command_id: str, command: commands.CancelActivity) -> None:
        requested = self._cancel_requested(command_id, command, command.activity_id)
        wait = self._waits.find(command.activity_id)
        if wait is not None:
            _require_open(wait)
            now = self._run.clock.now()
            self._waits.record(requested, TimerCanceled(self._run.run_id, now, command.activity_id))
            return
        reason = requested.reason or "somebody asked for it"
        control = self._control(command.activity_id)
        control.cancel(reason, lambda: self._waits.record(requested))

    def _skip(self, command_id: str, command: commands.Skip) -> None:
        run_id, activity_id, now = self._run.run_id, command.activity_id, self._run.clock.now()
        received = self._received(command_id, "skip", command)
        wait = self._waits.find(activity_id)
        if wait is not None:
            if not isinstance(wait.begun, TimerStarted):
                raise UsageError(
                    f"{activity_id} waits for a signal or an answer: send it one, or cancel it."
                )
            _require_open(wait)
            self._waits.record(received, TimerFired(run_id, now, activity_id))
            return
        result = self._opened(command.value)
        reason = f"skipped by {command.by}" if command.by else "skipped"

        def complete(attempt: int) -> None:
            self._waits.record(
                received,
                StepCompleted(
                    run_id, now, activity_id, attempt, result, command.view, reason=reason
                ),
            )

        self._control(activity_id).skip(result, complete)

    def _control(self, activity_id: str) -> Control:
        control = self._run.activities.get(activity_id)
        if control is None:
            raise UsageError(
                f"run {self._run.run_id} has no step, timer or wait {activity_id!r} under way."
            )
        return control

    def _received(
        self, command_id: str, kind: Any, command: commands.RetryNow | commands.Skip
    ) -> CommandReceived:
        run, activity_id = self._run, command.activity_id
        return CommandReceived(
            run.run_id, run.clock.now(), command_id, kind, activity_id, command.by
        )

    def _cancel_requested(
        self,
        command_id: str,
        command: commands.CancelRun | commands.CancelActivity,
        activity_id: str | None,
    ) -> CancelRequested:
        reason = None if command.reason is None else clear.text(command.reason)
        run = self._run
        return CancelRequested(
            run.run_id, run.clock.now(), command_id, activity_id, reason, command.by
        )

    def _opened(self, payload: Payload) -> Payload:
        return commands.opened(self._run.history, payload)

    def _decoded(self, payload: Payload | None) -> Any:
        if payload is None:
            return None
        return values.decode(payload.encoding, self._run.history.get(payload), self._live)


def _require_open(wait: Pending) -> None:
    if wait.over:
        raise UsageError(f"{wait.activity_id} is over already, or was answered or cancelled.")


def interrupt_main_thread() -> None:
    """What Ctrl-C does, from any thread: the main thread's blocking calls end, too."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, signal.SIGINT)
