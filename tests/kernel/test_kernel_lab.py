"""The comm of JupyterLab's extension: states, changes and answers, also while a cell blocks."""

import itertools
import time
import uuid

import pytest
from kernel_client import kernel

BLOCK = "import threading\nthreading.Event().wait(3)"


class Page:
    """What the extension does: a subshell of its own, and a comm on it."""

    def __init__(self, k, target="evercell"):
        self.client = k.client
        request = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(request)
        self.subshell = self.client.get_control_msg(timeout=30)["content"]["subshell_id"]
        self.comm_id = uuid.uuid4().hex
        self.requests = itertools.count(100)
        self.post("comm_open", {}, target_name=target)

    def post(self, kind, data, **content):
        message = self.client.session.msg(kind, {"comm_id": self.comm_id, "data": data, **content})
        message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def receive(self, wanted, timeout=20):
        """The data of the next message on the comm that `wanted` is true of."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=deadline - time.monotonic())
            if message["content"].get("comm_id") != self.comm_id:
                continue
            if message["msg_type"] == "comm_close":
                return None
            if wanted(message["content"]["data"]):
                return message["content"]["data"]

    def ask(self, method, *, again=None, **params):
        """The reply; `again` is the id of a request that is sent once more."""
        name = next(self.requests) if again is None else again
        self.post("comm_msg", {"id": name, "method": method, "params": params})
        return self.receive(lambda data: data["type"] == "reply" and data["id"] == name)


def is_state(data):
    return data["type"] == "state"


def status_of(cell_id, status):
    def wanted(data):
        cells = data.get("cells", [])
        return any((it["cell_id"], it["status"]) == (cell_id, status) for it in cells)

    return wanted


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture
def k(home):
    env = {"EVERCELL_NOTEBOOK": str(home / "one.ipynb"), "EVERCELL_KEY_FILE": str(home / "key")}
    with kernel(home, fake=False, env=env) as running:
        yield running


def test_a_page_is_told_what_becomes_of_each_cell(k, home):
    page = Page(k)
    state = page.receive(is_state)
    assert (state["run"], state["cells"], state["attached"]) == (None, [], False)
    assert page.ask("runs")["result"] == []
    assert not (home / ".evercell").exists()  # looking makes no history
    k.send("x = 1", metadata={"cellId": "a"})
    state = page.receive(is_state)
    assert state["attached"] is True
    if not status_of("a", "completed")(state):
        page.receive(status_of("a", "completed"))

    k.send(BLOCK, metadata={"cellId": "b"})
    page.receive(status_of("b", "running"))
    (run,) = page.ask("runs")["result"]  # answered while the cell blocks
    assert (run["name"], run["status"]) == ("one.ipynb", "running")
    later = Page(k)
    shown = later.receive(is_state)["cells"]
    assert [(it["cell_id"], it["status"]) for it in shown] == [
        ("a", "completed"),
        ("b", "running"),
    ]
    page.post("comm_msg", {"id": 6, "method": "state"})  # as if what was sent had been lost
    shown = page.receive(is_state)
    assert [it["cell_id"] for it in shown["cells"]] == ["a", "b"]
    if not status_of("b", "completed")(shown):
        page.receive(status_of("b", "completed"))
    opened = page.ask("open", view="v", run=run["run_id"])
    frame = opened["result"]
    assert [row["label"] for row in frame["rows"]] == ["x = 1", "threading.Event().wait(3)"]
    # As if the reply had been lost: the window is not opened once more, which takes a new picture.
    assert page.ask("open", view="v", run=run["run_id"], again=opened["id"]) == opened
    look = {"type": "look", "page": "p", "fresh": True, "search": "x ="}
    page.post("comm_msg", {"id": 8, "method": "tell", "params": {"view": "v", "content": look}})
    shown = page.receive(lambda data: data["type"] == "view")
    assert shown["content"] == {"type": "frame", "page": "p"}
    page.receive(lambda data: data["type"] == "reply")
    assert page.ask("close", view="v")["result"] is None
    assert "evercell-run" in page.ask("widget")["result"]["esm"]
    assert "another release" in page.ask("dance")["error"]

    before = state["run"]["run_id"]
    k.send("%evercell new-run")
    state = page.receive(is_state)
    assert state["run"]["run_id"] != before
    assert state["cells"] == []


def test_a_kernel_without_a_cell_shows_what_it_would_resume(k):
    k.run("%evercell new-run")
    k.run("y = 1", metadata={"cellId": "c"})
    page = Page(k)
    k.send(BLOCK, metadata={"cellId": "d"})
    page.receive(status_of("d", "running"))
    k.client.stop_channels()
    k.manager.restart_kernel(now=True)  # SIGKILL
    k.client = k.manager.client()
    k.client.start_channels()
    k.client.wait_for_ready(timeout=60)
    page = Page(k)
    state = page.receive(is_state)
    assert state["attached"] is False
    shown = {it["cell_id"]: it["status"] for it in state["cells"]}
    assert shown == {"c": "recorded", "d": "in doubt"}
    page.post("comm_msg", {"id": 6, "method": "state"})
    assert page.receive(is_state) == state
    cells = [
        {"id": "c", "index": 0, "source": "y = 1", "tags": []},
        {"id": "d", "index": 1, "source": "y = 2", "tags": []},
        {"id": "e", "index": 2, "source": "z = y", "tags": ["evercell:volatile"]},
    ]
    foretold = page.ask("preview", cells=cells)["result"]
    assert [(it["cell_id"], it["action"]) for it in foretold] == [
        ("c", "restore"),
        ("d", "execute"),
        ("e", "execute"),
    ]
    assert foretold[0]["cost"]["seconds"] > 0
    run_id = state["run"]["run_id"]
    runs = {it["run_id"]: it["status"] for it in page.ask("runs")["result"]}
    assert runs[run_id] == "stopped"  # to look attaches to nothing


def test_a_kernel_without_evercell_closes_the_comm(plain):
    assert Page(plain).receive(lambda _: False) is None
