"""Replays, refusals and notes, as a frontend sees them; In, Out and the counter."""

import json
import re

from kernel_client import kernel

CODE = """import sys
from IPython.display import HTML, display
print("out"); print("err", file=sys.stderr)
h = display(HTML("<b>b</b>"), display_id="replayed"); h.update("later")
[1, 2, 3]"""


def test_replay_publishes_what_the_run_did(k):
    first = k.run(CODE, user_expressions={"n": "1 + 1"})
    again = k.run(CODE, user_expressions={"n": "1 + 1"})
    count = first.reply["execution_count"]
    assert again.reply == {**first.reply, "execution_count": count + 1}
    assert [m for m in again.messages if m[0] != "execute_result"] == [
        m for m in first.messages if m[0] != "execute_result"
    ]
    assert again.messages[-1] == (
        "execute_result",
        {**first.messages[-1][1], "execution_count": count + 1},
    )


def test_replay_moves_in_and_out_like_a_run(k):
    for _ in range(2):
        k.run("'kept'")
        n = k.value("get_ipython().execution_count") - 1
        assert k.value(f"Out[{n}]") == k.value("_") == k.value(f"_{n}") == "kept"
        assert k.value(f"In[{n}]") == k.value(f"_i{n}") == "'kept'"
        assert k.value("len(In)") == n + 1
    history = k.value("[s for _, _, s in get_ipython().history_manager.get_range()][-2:]")
    assert history == ["'kept'", "'kept'"]
    k.run("'next'")
    assert k.value("(_, __, ___)") == ("next", "kept", "kept")


def test_replay_respects_a_user_own_underscore(k):
    k.run("5  # shown")
    k.run("_ = 'mine'")
    k.run("5  # shown")
    assert k.value("_") == "mine"
    k.run("del _")


_LISTENING = """
import types
listening = types.ModuleType("listening")
exec('''
seen = []
def pre(info): seen.append(('pre', info.raw_cell))
def post(result): seen.append(('post', result.result, result.success))
''', vars(listening))
own = []
def of_notebook(info): own.append(info.raw_cell)
register = get_ipython().events.register
register('pre_run_cell', listening.pre)
register('post_run_cell', listening.post)
register('pre_run_cell', of_notebook)
"""
_NO_LONGER = """
unregister = get_ipython().events.unregister
unregister('pre_run_cell', listening.pre)
unregister('post_run_cell', listening.post)
unregister('pre_run_cell', of_notebook)
"""


def test_replay_calls_the_event_callbacks_of_libraries(k):
    k.run(_LISTENING)
    k.run("6 * 7")
    k.run("6 * 7")
    k.run(_NO_LONGER)
    shown = [("pre", "6 * 7"), ("post", 42, True)]
    assert k.value("listening.seen")[1:5] == shown * 2
    # What the notebook's did is recorded with the cell.
    assert k.value("own")[:1] == ["6 * 7"]
    assert k.value("own.count('6 * 7')") == 1


def test_result_is_what_was_shown(k):
    for code, shown in [
        ("7 * 6", "42"),
        ("7 * 6;", "nothing"),
        ("None", "nothing"),
        ("y = 1", "nothing"),
    ]:
        k.run(code)
        assert k.value("__import__('fake_engine').shown()") == shown


def test_refusal_shows_the_message_only(k):
    before = k.value("get_ipython().execution_count")
    answer = k.run("touched = True  # refuse")
    [(kind, error)] = answer.messages
    assert kind == "error"
    assert error["ename"] == "RunInUseError"
    assert error["evalue"].startswith("[EC206] another kernel is attached")
    assert error["traceback"] == [f"RunInUseError: {error['evalue']}"]
    assert answer.reply["status"] == "error"
    assert answer.reply["execution_count"] == before
    assert k.value("get_ipython().execution_count") == before + 1
    assert k.value("'touched' in globals()") is False
    assert k.value(f"In[{before}]") == "touched = True  # refuse"


def test_refusal_ends_the_queue_of_cells(k, tmp_path):
    gate = tmp_path / "gate"
    wait = f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)"
    held = k.send(f"import pathlib, time\n{wait}")
    sent = [k.send("1  # refuse"), k.send("2  # not reached")]
    gate.touch()  # the kernel has a queue now
    k.receive(held)
    replies = [k.receive(msg_id).reply["status"] for msg_id in sent]
    assert replies == ["error", "aborted"]


def test_fault_of_the_engine_is_an_error_reply(k):
    answer = k.run("1  # fault")
    assert answer.reply["ename"] == "ZeroDivisionError"
    assert "fault in Evercell" in answer.reply["traceback"][-1]
    assert k.run("'works on'").reply["status"] == "ok"


def test_note_is_seen_and_not_recorded(k):
    answer = k.run("print('cell')  # note")
    assert answer.text("stderr") == "a note\n"
    assert k.recorded() == [("stream", {"name": "stdout", "text": "cell\n"})]


def test_silent_and_empty_requests_are_no_cells(k):
    asked = "len(__import__('fake_engine').current.requests)"
    before = k.value(asked)
    k.run("z = 1", silent=True)
    k.run("z = 2", store_history=False)
    k.run("   \n")
    assert k.value(asked) == before
    assert k.value("z") == 2


def test_request_carries_id_index_tags_and_count(k):
    metadata = {"cellId": "abc", "tags": ["slow"], "evercell": {"cell_index": 4}}
    n = k.run("'identified'", metadata=metadata).reply["execution_count"]
    assert k.value("__import__('fake_engine').request()") == f'["abc", 4, ["slow"], {n}]'


def test_failed_display_is_an_error(k):
    code = "class Bad:\n    def _repr_html_(self): raise ValueError('no repr')\nBad()"
    assert k.run(code).reply["status"] == "error"
    assert k.run(code).reply["status"] == "error"  # was not recorded as a success


def test_traceback_has_no_frames_of_ours(k):
    # A function of a module named evercell.* stands in for the wrapper around a step.
    k.run(
        "import types\n"
        "wrapper = types.ModuleType('evercell.wrapper')\n"
        "exec('def call(f):\\n    return f()', wrapper.__dict__)\n"
    )
    answer = k.run("def inner():\n    raise ValueError('inside')\nwrapper.call(inner)")
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(answer.reply["traceback"]))
    assert "hidden" not in text
    assert "call(f)" not in text
    assert text.count("Cell In[") == 2
    assert "ValueError: inside" in text


def test_user_input_works(k):
    msg_id = k.send("name = input('who? ')\nprint('hello', name)", allow_stdin=True)
    request = k.client.get_stdin_msg(timeout=30)
    assert request["content"]["prompt"] == "who? "
    k.client.input("you")
    assert "hello you" in k.receive(msg_id).text()


def test_payloads_of_a_run_are_delivered(k):
    answer = k.run("get_ipython().set_next_input('next')")
    assert answer.reply["payload"][0]["text"] == "next"


def test_subshell_is_beside_the_order_of_cells(k):
    asked = "len(__import__('fake_engine').current.requests)"
    before = k.value(asked)
    client = k.client
    client.control_channel.send(client.session.msg("create_subshell_request", {}))
    subshell = client.get_control_msg(timeout=30)["content"]["subshell_id"]
    message = client.session.msg("execute_request", {"code": "beside = 1"})
    message["header"]["subshell_id"] = subshell
    client.shell_channel.send(message)
    assert k.receive(message["header"]["msg_id"]).reply["status"] == "ok"
    assert (k.value("beside"), k.value(asked)) == (1, before)


def test_cell_index_comes_from_the_saved_notebook(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": [{"id": "a"}, {"id": "b"}]}))
    with kernel(tmp_path, env={"EVERCELL_NOTEBOOK": str(path)}) as running:
        running.run("1", metadata={"cellId": "b"})
        asked = "__import__('fake_engine').request()"
        assert json.loads(running.value(asked))[:2] == ["b", 1]


def test_a_cell_is_transformed_once(k):
    k.run(
        "seen = []\n"
        "def look(lines):\n"
        "    seen.append(''.join(lines))\n"
        "    return lines\n"
        "get_ipython().input_transformers_cleanup.append(look)"
    )
    try:
        k.run("get_ipython().run_cell('inner = 1');")
        seen = k.value("[text for text in seen if 'inner' in text]")
        assert seen[:2] == ["get_ipython().run_cell('inner = 1');\n", "inner = 1\n"]
    finally:
        k.run("get_ipython().input_transformers_cleanup.remove(look)")


def test_a_cell_that_a_transformer_rejects_is_shown_its_error(k):
    k.run(
        "def reject(lines):\n"
        "    if 'forbidden' in lines[0]: raise SyntaxError('no such thing here')\n"
        "    return lines\n"
        "get_ipython().input_transformers_cleanup.append(reject)"
    )
    try:
        answer = k.run("forbidden = 1")
        assert (answer.reply["status"], answer.reply["ename"]) == ("error", "SyntaxError")
    finally:
        k.run("get_ipython().input_transformers_cleanup.remove(reject)")
