"""Records the golden histories of workflows: python tests/golden/make_workflows.py

Run it once for each release whose events or replay changed, and commit what it makes: the runs in
`workflows-<n>.jsonl` must be replayed by the code in golden_flows.py for ever.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment

HERE = Path(__file__).parent
KEY = bytes(range(32))


def main() -> None:
    import evercell
    from evercell.testing import WorkflowEnvironment

    evercell.configure(redact=without_paths)
    number = len(list(HERE.glob("workflows-*.jsonl"))) + 1
    target = HERE / f"workflows-{number}.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_bytes(KEY)
        os.environ["EVERCELL_KEY_FILE"] = str(key)
        with WorkflowEnvironment(Path(folder) / "history") as env:
            play(env)
            size = env.history.upkeep.export(env.worker.host.run_id, target)
    sys.stdout.write(f"{target}: {size:,} bytes\n")


def without_paths(text: str) -> str:
    """A traceback that says nothing of the machine."""
    for folder in (HERE.parents[1], sys.base_prefix):
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def play(env: WorkflowEnvironment) -> None:
    """One run of each behaviour; the last stays open."""
    import golden_flows as flows

    flows.steps.start(3, id="steps").result(30)
    flows.timers.start(id="timers").result(30)
    talk = flows.messages.start(id="messages")
    talk.signal("early", 7)
    for item in ("a", "b"):
        talk.signal("add", item)
        env.sleep(0)
    talk.update("finish", "c").result(30)
    talk.result(30)
    flows.parent.start(id="parent").result(30)
    stopped = flows.canceled.start(id="canceled")
    env.sleep(0)
    stopped.cancel("enough")
    env.sleep(0)
    dropped = flows.dropped.start(id="dropped")
    if not flows.STUCK.wait(30):
        raise TimeoutError("the step does not begin")
    flows.STUCK.clear()
    dropped.signal("enough")
    env.sleep(0)
    dropped.answer(True)
    dropped.result(30)
    links = flows.chain.start(2, id="chain")
    links.signal("kept", "to the end")
    links.result(30)
    marked = flows.markers.start(id="markers")
    env.sleep(0)
    marked.answer({"yes": 1})
    marked.result(30)
    flows.opened.start(id="open")
    env.sleep("2h")


if __name__ == "__main__":
    main()
