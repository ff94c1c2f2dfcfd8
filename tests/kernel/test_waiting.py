"""Cells that wait in real kernels: answered from outside, killed, interrupted, cancelled."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from notebooks import Notebook
from test_headless_resume import Lab, jupyter_path
from test_workflows_resume import write

from evercell.events import SignalAwaited
from evercell.history import History
from evercell.history.tail import Tail

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

__all__ = ["jupyter_path"]

CELLS = [
    """
import asyncio, pathlib
import evercell
from pydantic import BaseModel

class Where(BaseModel):
    env: str
    n: int = 1

@evercell.step
def note(text):
    with pathlib.Path("ledger").open("a") as ledger:
        ledger.write(text + "\\n")
""",
    """
note("asking")
if evercell.approval("Deploy?"):
    note("deploying")
""",
    """
async def later():
    await evercell.sleep(1)
    note("slept")

_, where, word = await asyncio.gather(
    later(), evercell.approval("Where?", Where, timeout="1d"), evercell.wait_signal("go", str)
)
note(f"{where!r} {word}")
""",
    """
try:
    evercell.approval("Too late?", timeout=0.2)
except TimeoutError:
    note("too late")
""",
]


def lines_until(process: subprocess.Popen[str], what: str) -> str:
    """What a run prints up to a line that holds `what`."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if what in line:
            return seen
    raise AssertionError(seen + (process.stderr.read() if process.stderr else ""))


def tell(lab: Lab, *words: str, code: int = 0) -> Any:
    process = lab.begin(*words, "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    return json.loads(out)


def rows(lab: Lab, sql: str) -> list[tuple[Any, ...]]:
    history = History(lab.folder / ".evercell")
    try:
        return history.query(sql).rows
    finally:
        history.close()


def kill_kernel(lab: Lab, run: subprocess.Popen[str]) -> None:
    ((pid,),) = rows(lab, "SELECT pid FROM runs")
    os.kill(pid, signal.SIGKILL)
    run.communicate(timeout=120)
    assert run.returncode == 1


@pytest.fixture
def lab(tmp_path: Path, jupyter_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    return Lab(tmp_path, jupyter_path)


def test_a_notebook_waits_on_over_kills_and_each_thing_is_done_once(lab: Lab) -> None:
    write(lab, *CELLS)
    first = lab.begin("run", "exp.ipynb")
    seen = lines_until(first, "say no")
    ((run_id,),) = rows(lab, "SELECT run_id FROM runs")
    assert f"say yes: evercell approve {run_id}\n" in seen
    kill_kernel(lab, first)  # while a sync cell blocks
    second = lab.begin("run", "exp.ipynb")
    lines_until(second, "say yes")
    assert tell(lab, "approve", run_id)["status"] == "recorded"
    lines_until(second, "send it: evercell signal")
    kill_kernel(lab, second)  # while an async cell awaits three things
    assert tell(lab, "signal", run_id, "go", "now")["status"] == "kept"
    refused = tell(lab, "approve", run_id, "Where?", "--value", '{"n": 2}', code=2)
    assert "'env' is a required property" in refused["error"]["message"]
    ((due,),) = rows(lab, "SELECT epoch_ns(fires_at) FROM timers")
    time.sleep(max(0.0, (due - time.time_ns()) / 1e9))  # then it fires at once
    third = lab.begin("run", "exp.ipynb")
    lines_until(third, "say yes")
    tell(lab, "approve", run_id, "Where?", "--value", '{"env": "prod"}')
    out, err = third.communicate(timeout=120)
    assert third.returncode == 0, out + err
    assert sorted((lab.folder / "ledger").read_text().splitlines()) == sorted(
        ["asking", "deploying", "slept", "Where(env='prod', n=1) now", "too late"]
    )
    assert rows(lab, "SELECT prompt, status FROM approvals") == [
        ("Deploy?", "approved"),
        ("Where?", "approved"),
        ("Too late?", "expired"),
    ]
    assert rows(lab, "SELECT status FROM timers") == [("fired",)]
    assert rows(lab, "SELECT count(*) FROM signals") == [(1,)]
    assert rows(lab, "SELECT count(*) FROM waits") == [(0,)]
    assert lab.run()["cells"] == {"total": 4, "restored": 4}


@pytest.mark.parametrize("how", ["evercell.wait_signal('go')", "await evercell.wait_signal('go')"])
def test_an_interrupt_leaves_the_wait_open_and_a_cancel_from_outside_does_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    notebook = Notebook(tmp_path)
    lab = Lab(tmp_path, tmp_path)
    with notebook.kernel() as k:
        k.run("import evercell", metadata={"cellId": "c0"})
        run_id = k.value("evercell.run_id()")
        tail = Tail(notebook.home)
        for stop in (k.manager.interrupt_kernel, lambda: tell(lab, "cancel", run_id)):
            message = k.send(f"word = {how}", metadata={"cellId": "c1"})
            while not any(isinstance(event, SignalAwaited) for event in tail.read()):
                time.sleep(0.05)
            stop()
            answer = k.receive(message, timeout=60)
            assert answer.reply["ename"] in {"KeyboardInterrupt", "CancelledError"}
            assert "the wait for signal 'go' stays open" in answer.text("stderr")
        tell(lab, "signal", run_id, "go", "7")
        assert k.run(f"word = {how}", metadata={"cellId": "c1"}).reply["status"] == "ok"
        assert k.value("word") == 7
        (wait,) = notebook.rows(
            "SELECT count(DISTINCT activity_id) FROM events WHERE type = 'SignalAwaited'"
        )
        assert wait == (1,)
        tail.close()
