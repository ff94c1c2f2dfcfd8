"""Makes the golden history of the current schema: python tests/golden/make.py

Run it once for each schema, at its release, and commit what it makes: `schema-<n>/` must open for
ever. It holds a run in history.duckdb, a run that is only in a journal, a payload file, and the
key.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
KEY = bytes(range(32))


def main() -> None:
    from evercell.history.schema import SCHEMA

    target = HERE / f"schema-{SCHEMA}"
    if target.exists():
        sys.exit(f"{target} is there. A released history is never made again.")
    target.mkdir()
    key = target / "key"
    key.write_bytes(KEY)
    os.environ["EVERCELL_KEY_FILE"] = str(key)
    sys.path.insert(0, str(HERE.parent / "unit"))
    from history_samples import Recorder

    from evercell import settings
    from evercell.history import History

    settings.change(compress=False)  # else the large value is so small that it needs no file
    folded = History(target / "history")
    record(Recorder(folded, "run0000001"), "/work/folded.ipynb")
    folded.close()
    history = History(target / "history")
    history.fold()
    record(Recorder(history, "run0000002"), "/work/journal.ipynb")
    keep = target / "journal"
    shutil.copytree(target / "history" / "journal", keep)  # as a kill would leave it
    shutil.copy(target / "history" / "history.duckdb", target / "history.duckdb")
    history.close()
    shutil.rmtree(target / "history" / "journal")
    keep.rename(target / "history" / "journal")
    (target / "history.duckdb").replace(target / "history" / "history.duckdb")
    for path in (target / "history" / "journal").glob("*.log"):
        path.write_bytes(path.read_bytes().rstrip(b"\0"))  # space for more, which nobody writes
    for path in target.glob("**/*.lock"):
        path.unlink()


def record(recorder: object, notebook: str) -> None:
    """A finished cell with steps in every state, a workflow that waits, one that has ended, and a
    cell that was cut short."""
    from history_samples import Recorder

    from evercell import events as e

    assert isinstance(recorder, Recorder)
    recorder.start(notebook, model="small", n=3).attach(notebook=notebook)
    cell = recorder.cell()
    recorder.complete_step(recorder.step(cell, key=b"a" * 16))
    recorder.complete_step(recorder.step(cell, key=b"b" * 16), data=b'"%s"' % (b"x" * 70_000))
    recorder.fail_step(recorder.step(cell, key=b"c" * 16))
    recorder.complete_cell(cell)
    cell = recorder.cell(slot="id:b", index=1, source="y = ask()")
    retried = recorder.step(cell, slot="id:b", key=b"d" * 16)
    recorder.fail_attempt(retried)
    recorder.next_attempt(retried, cell, 2)
    recorder.step(cell, slot="id:b", key=b"e" * 16, once=True)
    history, number = recorder.history, recorder.run_id[-1]
    flow = recorder.workflow(f"flow00000{number}", memo='{"note":"golden"}')
    signal = history.put(b"[[true],{}]", "json")
    history.append(
        e.SignalReceived(flow.run_id, flow.tick(), "s-1", "go", signal),
        e.TimerStarted(flow.run_id, flow.tick(), f"timer-{number}", "workflow", "sleep", 2**60),
    )
    recorder.workflow(f"done00000{number}").finish(result=history.put(b'{"answer":42}', "json"))
    recorder.history.commit()


if __name__ == "__main__":
    main()
