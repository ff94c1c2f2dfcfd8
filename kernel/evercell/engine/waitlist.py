"""What a run's cells wait for and what reached them: a fold of events, and who waits now.

    enter ─ TimerStarted | SignalAwaited | ApprovalRequested
    waiting ─┬─ a signal is free, or comes ────── offered ─ claim ─ SignalTaken ──┐
             ├─ its time comes ────────────────── offered ─ claim ─ TimerFired ───┼─> outcome
             └─ a command (receiver.py) ───────── ApprovalAnswered, TimerCanceled ┘

What is recorded is applied by the same fold when it happens and when a later kernel reads it. A
signal goes to who waits first and takes its kind; it is offered to nobody who does not wait at the
moment, so a wait that was given up takes none.
"""

from __future__ import annotations

import threading
from bisect import insort
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evercell.engine.control import Canceled
from evercell.engine.pending import Fired, Pending, Replied, Taken, stands
from evercell.errors import EvercellError, UsageError
from evercell.events import (
    ApprovalAnswered,
    ApprovalRequested,
    CancelRequested,
    CommandReceived,
    SignalAwaited,
    SignalReceived,
    SignalTaken,
    TimerCanceled,
    TimerFired,
    TimerStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evercell.clock import Clock
    from evercell.engine.pending import Begun, Key, MakeBegun, Outcome
    from evercell.events import Event
    from evercell.history import History

__all__ = ["WaitList"]

_WHY = "somebody cancelled it"


def _misfit(wait: Pending, signal: SignalReceived) -> UsageError | None:
    """Why the code that waits can't take the signal. One that can't be read is its to find out."""
    try:
        if wait.check is not None:
            wait.check(signal)
    except UsageError as error:
        return error
    except EvercellError:
        pass
    return None


class WaitList:
    """One run's. Safe to use from any thread."""

    def __init__(
        self,
        history: History,
        clock: Clock,
        run_id: str,
        call_at: Callable[[int, Callable[[], None]], Callable[[], None]],
    ) -> None:
        """`call_at`: as `Post.call_at`. The history is read at the first use."""
        self.history = history
        self.clock = clock
        self.run_id = run_id
        self._call_at = call_at
        self._lock = threading.RLock()
        self._loaded = False
        self._waits: dict[str, Pending] = {}  # by activity_id
        self._calls: dict[Key, Pending] = {}
        self._signals: dict[str, tuple[int, SignalReceived]] = {}  # by id, with their number
        self._free: dict[str, list[tuple[int, str]]] = {}  # by name, in order: taken by nobody
        self._lines: dict[str, list[Pending]] = {}  # by name: who waits now, in order
        self._misfits: set[str] = set()  # signals of which a notice was given
        self._commands: set[str] = set()
        self._reasons: dict[str, str] = {}  # of cancellations, by activity_id

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing changes but by the caller. Raises what reading the history raises."""
        with self._lock:
            if not self._loaded:
                for event in self.history.wait_events(self.run_id):
                    self._apply(event)
                self._loaded = True
            yield

    # -- who waits ----------------------------------------------------------------------------

    def enter(self, call: Key, make: MakeBegun, *, resuming: bool, anew: bool = False) -> Pending:
        """The wait of this call: ended, going on, or begun.

        `resuming`: its cell was cut off and goes on. A cell that its user runs once more waits
        again for what was cancelled or came too late; `anew` has it do so in any case.
        """
        with self.exclusive():
            wait = self._calls.get(call)
            if wait is not None and not anew and stands(wait, resuming=resuming):
                return wait
            now = self.clock.now()
            if wait is None:
                begun = make(self.history.new_activity_id(), now)
            else:
                begun = make(wait.activity_id, now if wait.outcome else wait.since)
            self.record(begun)
            return self._waits[begun.activity_id]

    @contextmanager
    def waiting(
        self,
        wait: Pending,
        wake: Callable[[], None],
        check: Callable[[SignalReceived], object] | None = None,
    ) -> Iterator[None]:
        """Have `wake` called, from any thread, once the wait is over, or if it is already.
        `check` raises UsageError for a signal that its code can't take."""
        try:
            with self.exclusive():
                wait.check = check
                wait.wakes.append(wake)
                self._stand_in_line(wait)
                if wait.over:
                    wake()
            yield
        finally:
            with self._lock:
                if wake in wait.wakes:
                    wait.wakes.remove(wake)
                if not wait.wakes:
                    wait.check = None
                    self._leave_line(wait)

    def check(self, signal: SignalReceived) -> None:
        """Raise UsageError where none of those who wait now can take the signal: its sender is
        told, and nothing is recorded."""
        refused: UsageError | None = None
        for wait in self._lines.get(signal.name, ()):
            if not wait.over:
                error = _misfit(wait, signal)
                if error is None:
                    return
                refused = refused or error
        if refused is not None:
            raise refused

    def claim(self, wait: Pending) -> Outcome | None:
        """How the wait ended, recorded by now, if not durably."""
        with self.exclusive():
            if wait.outcome is None and wait.offer is not None:
                now, activity_id = self.clock.now(), wait.activity_id
                match wait.offer:
                    case Taken(signal):
                        self.record(SignalTaken(self.run_id, now, activity_id, signal.signal_id))
                    case Fired():
                        self.record(TimerFired(self.run_id, now, activity_id))
            return wait.outcome

    def give_back(self, wait: Pending) -> None:
        """The code gave the wait up before it saw the signal that it took: another one gets it."""
        with self.exclusive():
            if isinstance(wait.outcome, Taken):
                self.record(TimerCanceled(self.run_id, self.clock.now(), wait.activity_id))

    def left_open(self, cell: str) -> list[Pending]:
        """What the execution `cell` waited for and left as it was."""
        with self._lock:
            waits = self._waits.values()
            return [wait for wait in waits if wait.begun.cell == cell and wait.outcome is None]

    def settle(self, slot: str, *, unread: bool) -> None:
        """The slot's cell has finished: what it waited for, now or before it was cut off, and gave
        up is over. `unread`: also what an earlier kernel recorded. Raises what reading the history
        raises, and HistoryWriteError."""
        if not (unread or self._loaded):
            return
        with self.exclusive():  # which reads what an earlier kernel recorded
            left = [
                it for it in self._waits.values() if it.begun.slot == slot and it.outcome is None
            ]
        for wait in left:
            if wait.let_go is not None:
                wait.let_go()
        with self.exclusive():
            for wait in left:
                held = wait.wakes or wait.holders
                if wait.outcome is None and not held:
                    now = self.clock.now()
                    self.record(TimerCanceled(self.run_id, now, wait.activity_id))

    def _stand_in_line(self, wait: Pending) -> None:
        if isinstance(wait.begun, SignalAwaited):
            line = self._lines.setdefault(wait.begun.name, [])
            if wait not in line:
                line.append(wait)
            self._serve(wait.begun.name)
        due = wait.due
        if due is None or wait.over:
            return
        if due <= self.clock.now():
            wait.offer = Fired()
        elif wait.prevent is None:
            wait.prevent = self._call_at(due, lambda: self._expire(wait))

    def _leave_line(self, wait: Pending) -> None:
        if wait.prevent is not None:
            wait.prevent()
            wait.prevent = None
        wait.offer = None
        if isinstance(wait.begun, SignalAwaited):
            name = wait.begun.name
            line = self._lines.get(name, [])
            if wait in line:
                line.remove(wait)
            self._serve(name)

    def _expire(self, wait: Pending) -> None:
        with self._lock:
            if wait.wakes and not wait.over:
                wait.offer = Fired()
                wait.wake()

    def _serve(self, name: str) -> None:
        """Offer signals that nobody took to those who wait for them."""
        line = self._lines.get(name)
        if not line:
            return
        offered = {it.offer.signal.signal_id for it in line if isinstance(it.offer, Taken)}
        free = [
            self._signals[signal_id][1]
            for _, signal_id in self._free.get(name, ())
            if signal_id not in offered
        ]
        for wait in line:
            signal = None if wait.over else next((it for it in free if self._fits(wait, it)), None)
            if signal is not None:
                free.remove(signal)
                wait.offer = Taken(signal)
                wait.wake()

    def _fits(self, wait: Pending, signal: SignalReceived) -> bool:
        error = _misfit(wait, signal)
        if error is not None and signal.signal_id not in self._misfits:
            self._misfits.add(signal.signal_id)
            self.history.notice(
                f"signal {signal.name!r} is kept for who waits for another kind: {error.message}"
            )
        return error is None

    # -- commands -----------------------------------------------------------------------------

    def knows(self, command_id: str) -> bool:
        """Whether the command is recorded already."""
        return command_id in self._commands

    def find(self, activity_id: str) -> Pending | None:
        """The wait with this id."""
        return self._waits.get(activity_id)

    def approvals(self) -> list[ApprovalRequested]:
        """Those that are to be answered, in the order in which they were asked for."""
        with self.exclusive():
            now = self.clock.now()
            return [
                wait.begun
                for wait in self._waits.values()
                if isinstance(wait.begun, ApprovalRequested)
                and not wait.over
                and (wait.due is None or now < wait.due)
            ]

    def record(self, *events: Event) -> None:
        """Append the events and let them take effect; to be called within `exclusive`. Raises
        HistoryWriteError."""
        left = list(events)
        try:
            self.history.append(*events)
            self._take_effect(left)
        except KeyboardInterrupt:  # wherever it struck: the history and this have to agree
            self._take_effect(left)
            raise

    def _take_effect(self, left: list[Event]) -> None:
        while left:
            event = left[0]
            self._apply(event)
            if isinstance(event, SignalReceived):
                self._serve(event.name)
            wait = self._waits.get(getattr(event, "activity_id", None) or "")
            if wait is not None and wait.outcome is not None:
                wait.wake()
            del left[0]

    def close(self) -> None:
        """The run is left: whoever still waits gets StepCanceledError, and nothing is recorded."""
        with self._lock:
            for wait in self._waits.values():
                if wait.wakes and not wait.over:
                    wait.outcome = Canceled("its run was left")
                    wait.wake()

    # -- the fold -----------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        """Take an event in; once more, if an interrupt broke that off."""
        match event:
            case TimerStarted() | SignalAwaited() | ApprovalRequested():
                self._begin(event)
            case SignalReceived(signal_id=signal_id):
                self._commands.add(signal_id)
                if signal_id not in self._signals:
                    number = len(self._signals)
                    self._signals[signal_id] = number, event
                    self._free.setdefault(event.name, []).append((number, signal_id))
            case CancelRequested():
                self._commands.add(event.command_id)
                if event.activity_id is not None:
                    self._reasons[event.activity_id] = event.reason or _WHY
            case CommandReceived():
                self._commands.add(event.command_id)
            case _:
                self._end(event)

    def _begin(self, event: Begun) -> None:
        wait = self._waits.get(event.activity_id)
        if wait is None:
            wait = Pending(event, event.at)
            self._waits[event.activity_id] = wait
            self._calls[event.slot, event.key, event.ordinal] = wait
        elif wait.outcome is not None:  # again, from now on
            wait.since = event.at
            self._reasons.pop(event.activity_id, None)
        wait.begun, wait.outcome = event, None

    def _end(self, event: Any) -> None:
        if isinstance(event, ApprovalAnswered) and event.command_id is not None:
            self._commands.add(event.command_id)
        wait = self._waits.get(event.activity_id)
        if wait is None:
            return  # its beginning was not this user's
        wait.offer = None
        match event:
            case SignalTaken(signal_id=signal_id) if signal_id in self._signals:
                number, signal = self._signals[signal_id]
                free = self._free[signal.name]
                if (number, signal_id) in free:
                    free.remove((number, signal_id))
                wait.outcome = Taken(signal)
            case TimerFired():
                wait.outcome = Fired()
            case ApprovalAnswered():
                wait.outcome = Replied(event)
            case TimerCanceled():
                self._give_up(wait)
            case _:
                pass

    def _give_up(self, wait: Pending) -> None:
        if isinstance(wait.outcome, Taken):  # given back
            signal = wait.outcome.signal
            entry = self._signals[signal.signal_id][0], signal.signal_id
            if entry not in self._free[signal.name]:
                insort(self._free[signal.name], entry)
            wait.outcome = None
            self._serve(signal.name)
            return
        reason = self._reasons.get(wait.activity_id)
        wait.outcome = Canceled(reason or "its cell gave it up")
        if reason is None:  # nobody's word, to which the same call, made again, is bound
            self._calls.pop((wait.begun.slot, wait.begun.key, wait.begun.ordinal), None)
