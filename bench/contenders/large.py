"""One large value: copied as a file, and as a payload of a history."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from bench.contenders.evercell import Notebook
from evercell import AesGcm, settings
from evercell.history import History

STEP = """
import numpy as np
from evercell import step

@step
def make(size):
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)
"""

_BLOCK = 16 << 20
_KILO = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


class Contender:
    """Works in its own folder, or in `place`, so that one process reads what another wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._value: np.ndarray[tuple[int], np.dtype[np.uint8]] | None = None

    def copy(self, size: int, number: int) -> float:
        """Seconds to copy a file durably."""
        source, target = self._folder / "plain", self._folder / "copy"
        if not source.exists():
            self._noise(size, number).tofile(source)
        target.unlink(missing_ok=True)
        begin = perf_counter()
        shutil.copyfile(source, target)
        fd = os.open(target, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        return perf_counter() - begin

    def write(self, size: int, number: int, kind: str = "noise", place: str | None = None) -> float:
        """Seconds until an array's memory is durable as a payload; another array each time."""
        folder = Path(place) if place else self._folder
        settings.change(codec=AesGcm(bytes(32)) if kind == "encrypted" else None)
        value = self._noise(size, number)
        if kind == "compressible":
            value.reshape(-1, 8)[:, 1:] = 0  # as in integers that are small
        shutil.rmtree(folder / kind, ignore_errors=True)
        history = History(folder / kind)
        begin = perf_counter()
        payload = history.put(memoryview(value), "buffer")
        seconds = perf_counter() - begin
        history.close()
        (folder / f"{kind}.payload").write_bytes(pickle.dumps(payload))
        return seconds

    def read(self, size: int, number: int, kind: str = "noise", place: str | None = None) -> float:
        """Seconds until an array over what was written last is checked and at hand."""
        folder = Path(place) if place else self._folder
        settings.change(codec=AesGcm(bytes(32)) if kind == "encrypted" else None)
        history = History(folder / kind)
        payload = pickle.loads((folder / f"{kind}.payload").read_bytes())
        begin = perf_counter()
        array = np.frombuffer(history.fetch(payload), dtype=np.uint8)
        seconds = perf_counter() - begin
        assert len(array) == size
        history.close()
        return seconds

    def step(self, size: int, number: int, kind: str, place: str) -> None:
        """Have a step return an array, in a notebook; `replay` has the history answer it."""
        source = f"returned = len(make({size}))"
        notebook = Notebook(Path(place) / "steps")
        notebook.cell("definitions", STEP)
        notebook.cell("steps", source if number == 0 else f"{source} + 0")  # edited: it runs again
        notebook.close()

    def replay(self, size: int, number: int, kind: str, place: str) -> None:
        """See `step`."""
        self.step(size, number + 1, kind, place)

    def peak(self, which: str, size: int, kind: str, place: str) -> float:
        """The process's peak memory as a multiple of `size`, the value itself included."""
        os.environ["EVERCELL_KEY_FILE"] = str(Path(place) / "key")  # of all that work there
        getattr(self, which)(size, 0, kind, place)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILO / size

    def _noise(self, size: int, number: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        if self._value is None or len(self._value) != size:
            self._value = np.empty(size, np.uint8)
        block = np.random.default_rng(number).integers(0, 256, _BLOCK, np.uint8)
        for begin in range(0, size, _BLOCK):
            part = self._value[begin : begin + _BLOCK]
            part[:] = block[: len(part)]
        return self._value

    def close(self) -> None:
        """Nothing is open."""
