"""Who waits for the ends of runs. For the worker's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from evercell.errors import EvercellError
    from evercell.events import RunFinished

__all__ = ["Waiters"]


class Waiters:
    """Futures by run."""

    def __init__(self) -> None:
        self._futures: dict[str, list[Future[RunFinished]]] = {}

    def __bool__(self) -> bool:
        return bool(self._futures)

    def tell_all(self, error: EvercellError) -> None:
        """Why no run is to be waited for."""
        for run_id in list(self._futures):
            self.tell(run_id, error)

    def add(self, run_id: str, future: Future[RunFinished]) -> None:
        """`future` is to have the run's end."""
        self._futures.setdefault(run_id, []).append(future)

    def tell(self, run_id: str, outcome: RunFinished | EvercellError) -> None:
        """The run's end, or why it is not to be waited for."""
        for future in self._futures.pop(run_id, ()):
            if not future.set_running_or_notify_cancel():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def cancel(self) -> None:
        """Nobody will tell them any more."""
        for futures in self._futures.values():
            for future in futures:
                future.cancel()
