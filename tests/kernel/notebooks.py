"""Notebooks in real kernels: run, killed, run again; and what a plain kernel makes of them.

notebook = Notebook(folder)
with notebook.kernel() as k:       # leaving the block is kill -9
    answers = run_all(k, cells)
with notebook.kernel() as k:       # the same notebook in another kernel
    again = run_all(k, cells)
notebook.decisions()               # what became of each cell of the last kernel
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernel_client import kernel

from evercell.history import History

# That a cell was restored is written without waiting, and would be lost where the kernel is killed
# at once, or missed where another process looks.
_ON_DISK = (
    "[m.current_session().history.commit() "
    "for m in [__import__('sys').modules.get('evercell.engine.session')] if m]"
)


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook file; without an id it is sent as nbclient sends it."""

    source: str
    id: str | None = None


@dataclass(frozen=True)
class Decision:
    """A row of the view `cells`."""

    source: str
    decision: str
    reason: str
    status: str
    restorable: bool | None


def cells(*sources, ids=True):
    """Cells with ids by their place, or without any."""
    return [Cell(s, f"cell-{n}" if ids else None) for n, s in enumerate(sources)]


def run_all(k, notebook_cells, *, timeout=60):
    """Each cell in its turn, whatever the one before gave; what became of them is on disk then."""
    answers = []
    for cell in notebook_cells:
        metadata = None if cell.id is None else {"cellId": cell.id}
        answers.append(k.run(cell.source, metadata=metadata, timeout=timeout))
    k.value(_ON_DISK)
    return answers


class Notebook:
    """One notebook's files and history in a folder of its own, over the lives of its kernels."""

    def __init__(self, folder: Path, *, env=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.home = folder / ".evercell"
        self._env = {
            "EVERCELL_NOTEBOOK": str(folder / "notebook.ipynb"),
            "EVERCELL_HOME": str(self.home),
            "EVERCELL_KEY_FILE": str(folder / "key"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            **(env or {}),
        }

    @contextmanager
    def kernel(self, *, module="evercell.jupyter", env=None):
        """A kernel of this notebook; it is killed with SIGKILL at the end of the block."""
        with kernel(self.folder, module=module, fake=False, env={**self._env, **(env or {})}) as k:
            yield k

    def plain(self, **options):
        """ipykernel itself, to compare with."""
        return self.kernel(module="ipykernel_launcher", **options)

    def rows(self, sql):
        """Rows of a query over this notebook's history."""
        history = History(self.home)
        try:
            return history.query(sql).rows
        finally:
            history.close()

    def decisions(self, generation=None):
        """What became of each cell in the last kernel (or that of a generation), in order."""
        which = generation or "(SELECT max(generation) FROM cells)"
        found = self.rows(
            "SELECT source, decision, coalesce(reason, ''), status, restorable FROM cells "
            f"WHERE generation = {which} ORDER BY started_at"
        )
        return [Decision(*row) for row in found]

    def steps(self):
        """Name, status and number of attempts of each step, in order of the first call."""
        return self.rows("SELECT name, status, attempts FROM steps")


def shown(answer):
    """What a notebook file would hold, but streams that touch each other stand in one order: two
    channels have none between them, in plain ipykernel as well."""
    found, streams = [], {}
    for kind, content in [*answer.messages, (None, None)]:
        if kind == "stream":
            streams[content["name"]] = streams.get(content["name"], "") + content["text"]
            continue
        found += [("stream", name, streams[name]) for name in sorted(streams)]
        streams = {}
        if kind is not None:
            found.append((kind, {k: v for k, v in content.items() if k != "transient"}))
    return found


def error_text(answer):
    """The exception that a cell ended with, or None."""
    reply = answer.reply
    return f"{reply['ename']}: {reply['evalue']}" if reply["status"] == "error" else None
