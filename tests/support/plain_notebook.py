"""A notebook's cells in a process of their own, recorded by the engine without a kernel.

    python -m support.plain_notebook FOLDER '{"model": "small", "fresh": false, "die": "prompt"}'

Its steps ask a model that is busy at first for some prompts, takes longer for others, and for the
prompt `die` ends the process as a crash would.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.engine.host import NOTHING, CellRequest, Ran
from evercell.engine.run import RunRequest
from evercell.engine.session import Session, current_session
from evercell.engine.usage import record_usage

if TYPE_CHECKING:
    from types import CodeType

CRASHED = 9
NOTEBOOK = "/work/experiment.ipynb"
PRICES = {"small": 0.001, "large": 0.01}  # of a token
CELLS = [
    """
from evercell import RetryPolicy, step
from support import plain_notebook as world

@step(retry=RetryPolicy(maximum_attempts=3, initial_interval=0.001))
def ask(prompt, model):
    return world.answer(prompt, model)

@step(retry=RetryPolicy(maximum_attempts=2, initial_interval=0.001))
def judge(prompt, answer):
    return world.verdict(prompt, answer)
""",
    "prompts = ['capital?', 'busy?', 'slow?', 'colour?']",
    "import threading\nlock = threading.Lock()",
    "with lock:\n    answers = [ask(prompt, model) for prompt in prompts]",
    "verdicts = [judge(p, a['answer']) for p, a in zip(prompts[:2], answers)]",
]

_asked: dict[str, int] = {}
_die: str | None = None


class BusyError(Exception):
    """What the model says when it is asked too often."""


def answer(prompt: str, model: str) -> dict[str, Any]:
    """The model's answer; it may be busy."""
    _asked[prompt] = _asked.get(prompt, 0) + 1
    if prompt == _die:
        current_session().history.fold()  # the call has begun, and the disk knows it
        os._exit(CRASHED)
    if prompt == "busy?" and _asked[prompt] < 3:
        raise BusyError(f"try again ({_asked[prompt]})")
    if prompt == "slow?":
        time.sleep(0.05)  # the model's own time
    tokens = 10 if model == "small" else 20
    record_usage(
        model=model, input_tokens=5, output_tokens=tokens, cost=(5 + tokens) * PRICES[model]
    )
    sure = model == "large" or prompt != "colour?"
    return {"answer": prompt.upper() if sure else "?", "sure": sure}


def verdict(prompt: str, answer: str) -> bool:
    """Whether the answer is right, as the large model sees it."""
    record_usage(model="large", input_tokens=2, output_tokens=1, cost=3 * PRICES["large"])
    return answer == prompt.upper()


class PlainHost:
    """Runs a cell with `exec`; nothing is shown."""

    def __init__(self, source: str, live: dict[str, Any]) -> None:
        self._source = source
        self._live = live

    async def run(self) -> Ran:
        reply = {"status": "ok"}
        exec(compile(self._source, "<cell>", "exec"), self._live)
        return Ran(reply, (), None, NOTHING)

    def run_again(self, code: CodeType) -> BaseException | None:
        try:
            exec(code, self._live)
        except Exception as error:
            return error
        return None

    def replay(self, messages: object, result: object) -> dict[str, Any]:
        return {"status": "ok"}

    def refuse(self, error: Exception) -> dict[str, Any]:
        raise error

    def note(self, text: str) -> None:
        assert "lock" in text, text  # the one value that can't be stored


def run_all(folder: Path, model: str, *, fresh: bool) -> None:
    """Run All: every cell, as far as this process comes."""
    live: dict[str, Any] = vars(sys.modules["__main__"])
    live["model"] = model
    request = RunRequest(NOTEBOOK, {"model": model}, None, fresh)
    session = Session.open(folder, request, live)
    for index, source in enumerate(CELLS):
        cell = CellRequest(source, source, index + 1, f"cell{index}", index)
        asyncio.run(session.execute(cell, PlainHost(source, live)))
    session.finish("completed")
    session.close()


def start(folder: Path, model: str, *, fresh: bool = False, die: str | None = None) -> None:
    """`run_all` in a process of its own, which dies at the prompt `die`."""
    told = json.dumps({"model": model, "fresh": fresh, "die": die})
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-m", "support.plain_notebook", str(folder), told],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=60,
    )
    assert ended.returncode == (CRASHED if die else 0)


if __name__ == "__main__":
    from importlib import import_module

    world = import_module("support.plain_notebook")  # as the cells import it
    orders = json.loads(sys.argv[2])
    vars(world)["_die"] = orders["die"]
    run_all(Path(sys.argv[1]), orders["model"], fresh=orders["fresh"])
