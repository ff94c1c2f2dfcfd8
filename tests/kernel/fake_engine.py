"""An engine without a history, loaded into a test's kernel as an IPython extension.

A cell runs the first time and is replayed from then on; comments in its source ask for the other
things that an engine asks of its host. It stands in for `session.open_session`, so it shows what
the kernel does for any engine.
"""

import json
import os

from evercell.cell.outputs import Message, decode_messages, encode_messages
from evercell.engine.host import NOTHING
from evercell.errors import HistoryWriteError, RunInUseError
from evercell.jupyter import session


class Table:
    columns = ("status", "n")
    types = ("VARCHAR", "BIGINT")
    rows = (("completed", 3), ("failed", 1))


class Relation:
    def df(self):
        import pandas as pd

        return pd.DataFrame(Table.rows, columns=list(Table.columns))


class History:
    folder = "/nowhere"

    def query(self, sql, parameters=None):
        if "broken" in sql:
            raise HistoryWriteError("no such table")
        return Table()

    def relation(self, sql, parameters=None):
        return Relation()

    def cell_events(self, run_id):
        return []


class FakeSession:
    history = History()

    def __init__(self):
        self.runs = 1
        self.records = {}
        self.requests = []
        self.last = None

    @property
    def run_id(self):
        return f"run{self.runs}"

    @property
    def state(self):
        return self

    def cells(self):
        return ()

    def provide(self, text, *, run=True):
        pass

    def waiting(self):
        return ()

    def preview(self, cells):
        return ()

    async def execute(self, request, host):
        self.requests.append(request)
        if "# refuse" in request.source:
            return host.refuse(RunInUseError("another kernel is attached. Stop it, or new-run."))
        if "# fault" in request.source:
            raise ZeroDivisionError("fault of the engine")
        if "# note" in request.source:
            host.note("a note\n")
        record = self.records.get(request.source)
        if record is not None:
            return host.replay(decode_messages(record[0]), record[1])
        self.last = ran = await host.run()
        if ran.error is None and "evercell:volatile" not in request.tags:
            self.records[request.source] = (encode_messages(ran.messages), ran.result)
        return ran.reply

    def new_run(self):
        self.runs += 1
        self.records.clear()
        return self.run_id

    def feed(self):
        return self

    def events_so_far(self):
        return ()

    def close(self):
        pass


current = None


def open_session(kernel, place, project, *, fresh=False):
    global current  # noqa: PLW0603 - the kernel's one session, for the test to look at
    if os.environ.get("FAKE_IN_USE") and not fresh:
        raise RunInUseError("pid 1 holds this run. Shut it down, or use %evercell new-run.")
    current = FakeSession()
    return current


def recorded():
    """The last executed cell's messages as JSON, for a user expression."""
    return json.dumps([[m.msg_type, m.content] for m in current.last.messages])


def request():
    r = current.requests[-1]
    return json.dumps([r.cell_id, r.cell_index, r.tags, r.execution_count])


def shown():
    return "nothing" if current.last.result is NOTHING else repr(current.last.result)


def load_ipython_extension(shell):
    session.open_session = open_session
    assert Message
