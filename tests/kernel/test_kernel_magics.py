"""%evercell and %%evercell in a kernel; all must work without a run, too."""

import pytest
from kernel_client import kernel


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """A kernel whose run another one holds."""
    with kernel(tmp_path_factory.mktemp("in-use"), env={"FAKE_IN_USE": "1"}) as running:
        yield running


def test_help_names_every_command(k):
    from evercell.jupyter.magics import COMMANDS

    text = k.run("%evercell help").text()
    assert all(f"%evercell {name}" in text for name in COMMANDS)


def test_unknown_command_is_a_usage_error_that_lists_them(k):
    answer = k.run("%evercell nonsense")
    assert answer.reply["ename"] == "UsageError"
    assert "no command 'nonsense'" in answer.reply["evalue"]
    assert "new-run" in answer.reply["evalue"]
    assert len(answer.messages[0][1]["traceback"]) == 1


def test_status_counts(k):
    k.run("'a cell'")
    text = k.run("%evercell status").text()
    assert "run1" in text
    assert "3 completed, 1 failed" in text
    assert "/nowhere" in text


def test_sql_shows_a_table(k):
    for code in ("%evercell sql SELECT 1", "%%evercell sql\nSELECT 1"):
        [(kind, content)] = k.run(code).messages
        assert kind == "execute_result"
        assert "<table" in content["data"]["text/html"]
        assert "completed  3" in content["data"]["text/plain"]


def test_sql_into_a_variable_is_part_of_the_run(k):
    assert k.run("%%evercell sql -o df\nSELECT 1").reply["status"] == "ok"
    assert k.value("type(df).__name__") == "DataFrame"
    assert k.value("df['n'].tolist()") == [3, 1]
    assert "evercell:volatile" in k.value("__import__('fake_engine').request()")


def test_sql_error_is_shown_without_frames(k):
    answer = k.run("%evercell sql SELECT broken")
    assert answer.reply["status"] == "error"
    assert answer.messages[0][1]["traceback"] == ["HistoryWriteError: [EC201] no such table"]


def test_volatile_cell_is_an_ordinary_cell_that_runs_each_time(k):
    code = (
        "%%evercell volatile\nimport asyncio\nawait asyncio.sleep(0)\n"
        "runs = globals().get('runs', 0) + 1"
    )
    for n in (1, 2):
        assert k.run(code).reply["status"] == "ok"
        assert k.value("runs") == n
    answer = k.run("%%evercell volatile\n\n1/0")
    assert "line 3" in "".join(answer.reply["traceback"])


def test_volatile_above_another_cell_magic(k):
    assert k.run("%%evercell volatile\n%%bash\necho below").text() == "below\n"


def test_refused_run_leaves_the_magics_as_the_way_out(refused):
    answer = refused.run("x = 1")
    assert answer.reply["ename"] == "RunInUseError"
    assert refused.value("'x' in globals()") is False
    assert refused.run("%evercell help").reply["status"] == "ok"
    assert refused.run("%evercell status").reply["ename"] == "RunInUseError"
    assert "run1 begins" in refused.run("%evercell new-run").text()
    assert refused.run("x = 1").reply["status"] == "ok"


def test_braces_and_dollars_belong_to_the_query(k):
    k.run(
        "import fake_engine\nasked = []\nx = 5\nTable = fake_engine.Table\n"
        "fake_engine.History.query = lambda self, sql, p=None: asked.append((sql, p)) or Table()"
    )
    k.run("%evercell sql SELECT {'a': 1}, $x, '{asked}'")
    assert k.value("asked") == [("SELECT {'a': 1}, $x, '{asked}'", {"x": 5})]
    answer = k.run("%evercell sql SELECT $nowhere")
    assert "the notebook has no nowhere" in answer.reply["evalue"]


def complete(k, code):
    msg_id = k.client.complete(code, len(code))
    while True:
        reply = k.client.get_shell_msg(timeout=30)
        if reply["parent_header"].get("msg_id") == msg_id:
            return reply["content"]


def test_sql_is_completed(k):
    content = complete(k, "%%evercell sql\nSELECT s.resul FROM steps s WHERE s.resul")
    assert content["matches"] == ["result", "result_size", "result_codec", "result_id"]
    code = "%%evercell sql\nSELECT 'é😀' FROM ru"
    content = complete(k, code)
    assert content["matches"] == ["runs"]
    assert content["metadata"]["_jupyter_types_experimental"][0]["type"] == "view"
    assert complete(k, "%evercell new")["matches"] == ["new-run"]
    k.run("elsewhere = 1")
    assert complete(k, "%%evercell sql\nSELECT $else")["matches"] == ["$elsewhere"]
    assert "elsewhere" in complete(k, "elsew")["matches"]
