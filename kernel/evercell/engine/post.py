"""The post office of a process: takes letters in for its runs, and wakes who waits for a time.

    thread, five times a second: did the inbox change? (one stat) ─ letters ─ receiver ─ remove
                                 is a deadline due?    (a look)   ─ its callback
    register(run, receiver) -> letters that waited for the run are delivered at once

Deadlines are on the wall clock: a laptop that slept, a clock that was set, and a test's clock are
all seen within a fifth of a second.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from evercell.engine.commands import decode_command, send
from evercell.errors import (
    EvercellError,
    HistoryError,
    HistoryLockedError,
    HistoryWriteError,
    PayloadError,
    WorkflowBlockedError,
    WorkflowNotDefinedError,
)
from evercell.history.inbox import Refusal
from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.clock import Clock
    from evercell.engine.commands import Command, Receiver
    from evercell.history import History
    from evercell.history.inbox import Letter

__all__ = ["Post"]

_INTERVAL = 0.2  # seconds between two looks
_SECOND = 1_000_000_000


@dataclass(slots=True, order=True)
class _Deadline:
    due: int  # nanoseconds since the epoch
    number: int
    call: Callable[[], None] | None = field(compare=False)  # None: nobody waits any more


class Post:
    """One for each history of a process. Safe to use from any thread."""

    def __init__(self, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._receivers: dict[str, Receiver] = {}
        self._refused: set[str] = set()  # letters that this process can't make anything of
        self._deadlines: list[_Deadline] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._delivering = threading.Lock()  # one at a time, so letters stay in order
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    # -- commands -----------------------------------------------------------------------------

    def register(self, run_id: str, receiver: Receiver) -> Callable[[], None]:
        """Have `receiver` take the commands of a run that this process is attached to; those that
        waited come soon, on the post's thread. Returns what ends it."""
        with self._lock:
            self._receivers[run_id] = receiver

        def leave() -> None:
            with self._lock:
                if self._receivers.get(run_id) is receiver:
                    del self._receivers[run_id]

        self._history.inbox.look_again()
        self._wake.set()
        return leave

    def takes(self, run_id: str) -> bool:
        """Whether a command for the run is carried out here, at once."""
        return run_id in self._receivers

    def look_again(self) -> None:
        """Have letters delivered that found nobody who could carry them out."""
        self._history.inbox.look_again()
        self._wake.set()

    def submit(self, command: Command, command_id: str | None = None) -> str:
        """Have a command carried out by who has its run; durable when this returns its id.
        `command_id`: its own, where it may be submitted twice and is to be carried out once.

        Raises HistoryWriteError, and UsageError for what does not fit a run of this process; for
        another process's, its user is told.
        """
        receiver = self._receivers.get(command.run_id)
        if receiver is None:
            return send(self._history, command, command_id)
        command_id = command_id or self._clock.new_id(16)
        receiver.receive(command_id, command)
        return command_id

    def deliver(self) -> None:
        """Take in the letters that are there for this process's runs, in their order.

        Raises HistoryWriteError; what could not be recorded stays for the next time.
        """
        with self._delivering:
            for letter in self._history.inbox.for_runs(self._receivers):
                receiver = self._receivers.get(letter.run_id)
                if receiver is not None and letter.letter_id not in self._refused:
                    self._hand_over(letter, receiver)
            for name in self._history.inbox.foreign:
                self._history.notice(
                    f"A command in {self._history.folder / 'inbox'} was not written under your "
                    f"key, and was not carried out: {name}"
                )

    def _hand_over(self, letter: Letter, receiver: Receiver) -> None:
        try:
            receiver.receive(letter.letter_id, decode_command(letter.body))
        except (WorkflowNotDefinedError, WorkflowBlockedError):
            return  # for when its code is there, and fits
        except (HistoryWriteError, HistoryLockedError):
            self._history.inbox.look_again()
            raise
        except msgspec.DecodeError as error:
            self._refused.add(letter.letter_id)
            self._history.notice(
                f"A command in {self._history.folder / 'inbox'} is unknown to this release and "
                f"waits for a newer one: {letter.name} ({error})"
            )
            return
        except EvercellError as error:
            if isinstance(error, HistoryError) and not isinstance(error, PayloadError):
                self._refused.add(letter.letter_id)  # nothing is wrong with the letter: it stays
                self._history.notice(error.message)
                return
            self._history.notice(f"A command for run {letter.run_id} was refused: {error.message}")
            self._history.inbox.refuse(letter, Refusal(error.code, error.message))
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread
            self._refused.add(letter.letter_id)
            lines = "".join(traceback.format_exception(error))
            self._history.notice(f"A command failed; please report this:\n{lines}")
            return
        self._history.inbox.remove(letter)

    # -- deadlines ----------------------------------------------------------------------------

    def call_at(self, due: int, call: Callable[[], None]) -> Callable[[], None]:
        """Have `call` called, on the post's thread, when the wall clock shows `due` (nanoseconds
        since the epoch) or later; it must be quick and not raise. Returns what prevents it."""
        deadline = _Deadline(due, next(self._numbers), call)
        with self._lock:
            heapq.heappush(self._deadlines, deadline)
        self._wake.set()

        def prevent() -> None:
            deadline.call = None

        return prevent

    def ring(self) -> None:
        """Call what is due now."""
        now = self._clock.now()
        while True:
            with self._lock:
                if not self._deadlines or self._deadlines[0].due > now:
                    return
                deadline = heapq.heappop(self._deadlines)
            call, deadline.call = deadline.call, None
            if call is not None:
                call()

    # -- thread -------------------------------------------------------------------------------

    def start(self) -> None:
        """Look after letters and deadlines until `close`."""
        if self._thread is None:
            self._thread = OwnThread(self._run, "evercell-post")
            self._thread.start()

    def close(self) -> None:
        """End the thread; letters that come later stay where they are."""
        thread, self._thread = self._thread, None
        self._closing = True
        self._wake.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._look()
            self._wake.wait(self._pause())
            self._wake.clear()

    def _look(self) -> None:
        try:
            self.ring()
            if self._history.inbox.may_have_changed():
                self.deliver()
        except EvercellError as error:
            self._history.notice(error.message)  # a full disk: the next look tries again

    def _pause(self) -> float:
        with self._lock:
            if not self._deadlines:
                return _INTERVAL
            left = (self._deadlines[0].due - self._clock.now()) / _SECOND
        return min(_INTERVAL, max(0.0, left))
