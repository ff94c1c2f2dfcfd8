"""Contenders in processes of their own, so that none pays for another's threads and garbage.

Worker  ─ one JSON line per request ─> python -m bench.worker  ─ one line per answer ─>
resume  ─ starts a fresh process, python -m bench.resumer, and reads the times it passed
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from bench.lanes import LaneError

__all__ = ["ROOT", "Worker", "Workers", "environment", "start"]

ROOT = Path(__file__).resolve().parents[1]


def environment(folder: Path) -> dict[str, str]:
    """The children's environment: our packages importable, nothing of the user's touched."""
    paths = [str(ROOT), str(ROOT / "kernel"), str(ROOT / "widgets")]
    inherited = os.environ.get("PYTHONPATH")
    mine = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **mine,
        # Compiled once, by the warm-up round, whatever each package's installer did about it.
        "PYTHONPYCACHEPREFIX": str(ROOT / "artifacts" / "pycache"),
        "PYTHONPATH": os.pathsep.join([*paths, *([inherited] if inherited else [])]),
        "EVERCELL_KEY_FILE": str(folder / "key"),
        "EVERCELL_HOME": str(folder / "history"),
        "LANGSMITH_TRACING": "false",
        "PYTHONSAFEPATH": "1",  # a contender's store must not shadow a module
    }


def start(
    module: str, *arguments: str, folder: Path, log: IO[bytes]
) -> tuple[subprocess.Popen[bytes], IO[str]]:
    """Start `python -m module`; also the stream on which it answers. What it prints goes to `log`,
    so that a chatty library can't be mistaken for an answer."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(write), *arguments],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=(write,),
        cwd=folder,
        env=environment(folder),
    )
    os.close(write)
    return process, os.fdopen(read, encoding="utf-8")


class Worker:
    """One contender's process; it lives as long as its subject is measured."""

    def __init__(self, contender: str, folder: Path) -> None:
        self.contender = contender
        self._log = folder / f"{contender}.log"
        place = folder / contender
        place.mkdir(parents=True)
        with self._log.open("wb") as log:
            self._process, self._answers = start("bench.worker", contender, folder=place, log=log)

    def ask(self, call: str, **arguments: Any) -> float:
        """What the contender's method returns, in seconds. Raises LaneError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([call, arguments]).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; the log says why
        line = self._answers.readline()
        if not line:
            raise LaneError(f"failed: {last_line(self._log)}")
        answer: float = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the process end by itself; kill it if it does not."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._answers.close()


class Workers:
    """The workers of a subject, started when they are first asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def ask(self, contender: str, call: str, **arguments: Any) -> float:
        """See `Worker.ask`."""
        if contender not in self._workers:
            self._workers[contender] = Worker(contender, self._folder)
        return self._workers[contender].ask(call, **arguments)


def last_line(log: Path) -> str:
    """The last line that says something: of a traceback, the exception."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else "it ended without a word"
