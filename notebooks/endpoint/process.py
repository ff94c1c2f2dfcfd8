"""An endpoint process under the hand of a driver, whose ledger arrives as events."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from endpoint.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["EndpointProcess"]

_NOTEBOOKS = Path(__file__).parents[1]


class EndpointProcess:
    """Starts `python ARGUMENTS --ledger FILE --watch-stdin`; as a context manager, stops it."""

    def __init__(self, arguments: Sequence[str], ledger: Path) -> None:
        self.ledger = ledger
        path = os.pathsep.join(filter(None, [str(_NOTEBOOKS), os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, *arguments, "--ledger", str(ledger), "--watch-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"The endpoint did not start: exit code {self._process.wait()}.")
        self._entries: list[Entry] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def entries(self) -> list[Entry]:
        """The ledger so far."""
        with self._changed:
            return list(self._entries)

    def wait_for(
        self,
        condition: Callable[[list[Entry]], bool],
        *,
        timeout: float,
        unless: Callable[[], bool],
    ) -> bool:
        """Wait until the ledger meets `condition`; False when `unless` came true first.

        `unless` is asked at each new entry and once a second. Raises TimeoutError after `timeout`
        seconds, RuntimeError when the endpoint has ended.
        """
        with self._changed:
            for _ in range(int(timeout) + 1):
                if condition(self._entries):
                    return True
                if unless():
                    return False
                if self._ended:
                    raise RuntimeError(f"The endpoint ended: exit code {self._process.wait()}.")
                self._changed.wait_for(lambda: self._ended or condition(self._entries), timeout=1)
        raise TimeoutError(f"The endpoint's ledger did not get there in {timeout:g} s.")

    def stop(self) -> None:
        """End the process; its ledger stays."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._entries.append(Entry.parse(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
