"""What can't be stored is watched: a changed setting is seen, a used connection pool is not."""

from __future__ import annotations

import sys

import pytest
from cellbench import Bench


@pytest.fixture(autouse=True)
def _main_module():
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


CLIENT = """
import httpx, openai
def answer(request):
    return httpx.Response(200, headers={"set-cookie": "a=b"}, json={
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "hi"}}]})
client = openai.OpenAI(api_key="k", base_url="http://x/v1",
                       http_client=httpx.Client(transport=httpx.MockTransport(answer)))
"""
ASK = "r = client.chat.completions.create(model='m', messages=[]).choices[0].message.content"


def products(capture):
    return {name for product in capture.products for name in product.names}


def test_using_a_client_does_not_change_it():
    bench = Bench()
    assert not [p for p in bench.run(CLIENT).products if "client" in p.names and p.stream]
    for _ in range(2):
        capture = bench.run(ASK)
        assert products(capture) == {"r"}, capture.reason
        assert capture.restorable
        assert capture.reason is None


def test_finished_call_is_restored_and_the_client_recomputed():
    first = Bench()
    cells = [CLIENT, ASK, "s = r.upper()"]
    for cell in cells:
        first.run(cell)
    second = Bench()
    assert second.replay(cells, first) == ["recomputed", "restored", "restored"]
    assert second.ns["s"] == "HI"


def test_a_setting_is_noticed():
    bench = Bench()
    bench.run(CLIENT)
    capture = bench.run("client.timeout = 5")
    assert products(capture) == {"client"}
    assert "client" in capture.reason


def test_history_in_an_agent_with_a_client_is_noticed():
    bench = Bench()
    bench.run(CLIENT)
    bench.run(
        "class Agent:\n    def __init__(self): self.client = client; self.log = []\nagent = Agent()"
    )
    assert "agent" in products(bench.run("agent.log.append(1)"))
    assert "agent" not in products(bench.run("n = len(agent.log)"))


def test_callback_inside_a_client_is_an_input():
    first = Bench()
    cells = [
        "k = 1",
        "import httpx\nc = httpx.Client(event_hooks={'request': [lambda q: k]})",
        "t = c.is_closed",
    ]
    for cell in cells:
        first.run(cell)
    assert "k" in first.records[2].reads


STEP = """
class Step:
    __evercell_step__ = True
    def __init__(self, f):
        self.__wrapped__ = f
        self.__qualname__ = f.__qualname__
        self.__module__ = f.__module__
    def __call__(self, *a): return self.__wrapped__(*a)
    def __reduce__(self): return Step, (self.__wrapped__,)
"""


def test_step_body_uses_a_cursor_without_changing_the_cell():
    bench = Bench()
    bench.run(STEP)
    bench.run("import sqlite3\ndb = sqlite3.connect(':memory:')\nlimit = 3")
    made = bench.run("@Step\ndef ask(q): return db.execute('select 1').fetchone(), limit")
    assert [p.stream is not None for p in made.products] == [True]
    capture = bench.run("r = ask('a')")
    assert products(capture) == {"r"}
    assert {"ask", "db", "limit"} <= capture.reads.keys()
    direct = bench.run("r = db.execute('select 1').fetchone()")
    assert products(direct) == {"db", "r"}


def test_step_is_stored_by_name_in_other_values():
    first = Bench()
    cells = [STEP, "@Step\ndef ask(q): return q", "tools = {'ask': ask}", "r = tools['ask'](4)"]
    for cell in cells:
        first.run(cell)
    second = Bench()
    assert set(second.replay(cells, first)) == {"restored"}
    assert second.ns["tools"]["ask"] is second.ns["ask"]


def test_module_state_of_the_project(tmp_path, monkeypatch):
    (tmp_path / "evercell_helper.py").write_text(
        "seen = []\ndef note(x): seen.append(x); return len(seen)\ndef pure(x): return x + 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        first = Bench(root=tmp_path)
        cells = ["import evercell_helper as h", "a = h.pure(1)", "b = h.note(1)"]
        captures = [first.run(cell) for cell in cells]
        assert "@file:evercell_helper.py" in captures[1].reads
        assert captures[1].reason is None
        assert "evercell_helper.seen" in captures[2].reason
        (tmp_path / "evercell_helper.py").write_text("def pure(x): return x + 2\n")
        reads = {n: v for n, v in captures[1].reads.items() if n != "@modules"}
        assert "evercell_helper.py" in first.space.lookup(reads)
        assert "modules" in first.space.lookup({"@modules": captures[1].reads["@modules"]})
    finally:
        sys.modules.pop("evercell_helper", None)
