from jupyter_client.session import Session

from evercell.cell.outputs import Message
from evercell.jupyter.kept import Kept, shortened
from evercell.jupyter.outputs import join_streams
from evercell.jupyter.snapshots import static_widgets

VIEW = "application/vnd.jupyter.widget-view+json"
SESSION = Session(key=b"")


def stream(name, text):
    return Message("stream", {"name": name, "text": text})


def test_neighbouring_texts_of_one_stream_are_joined():
    shown = Message("display_data", {"data": {}})
    messages = [
        stream("stdout", "a"),
        stream("stdout", "b"),
        stream("stderr", "c"),
        stream("stdout", "d"),
        shown,
        stream("stdout", "e"),
        stream("stdout", "f"),
    ]
    assert join_streams(messages) == (
        stream("stdout", "ab"),
        stream("stderr", "c"),
        stream("stdout", "d"),
        shown,
        stream("stdout", "ef"),
    )
    assert messages[0] == stream("stdout", "a")
    assert join_streams([]) == ()


def test_widget_view_gives_way_to_what_is_static():
    data = {VIEW: {"model_id": "m"}, "text/html": "<b>", "text/plain": "b"}
    message = Message("display_data", {"data": data, "metadata": {VIEW: 1}, "transient": {"d": 1}})
    (static,) = static_widgets([message])
    assert static.content == {
        "data": {"text/html": "<b>", "text/plain": "b"},
        "metadata": {},
        "transient": {"d": 1},
    }
    assert VIEW in data


def test_widget_view_alone_is_told_in_words():
    message = Message("display_data", {"data": {VIEW: {"model_id": "m"}}, "metadata": {}})
    (static,) = static_widgets([message])
    assert list(static.content["data"]) == ["text/plain"]
    assert "widget" in static.content["data"]["text/plain"]


def catching(widget, msg_id):
    data = {"method": "update", "state": {"msg_id": msg_id}}
    return Message("comm_msg", {"comm_id": widget, "data": data})


def test_what_output_widgets_catch_is_not_the_cells_own():
    update = Message("update_display_data", {"data": {}, "transient": {"display_id": "x"}})
    messages = [
        stream("stdout", "before"),
        catching("outer", "m1"),
        stream("stdout", "caught"),
        catching("inner", "m1"),
        Message("clear_output", {"wait": False}),
        update,
        catching("inner", ""),
        stream("stdout", "caught, too"),
        catching("outer", ""),
        stream("stdout", "after"),
    ]
    assert static_widgets(messages) == [
        stream("stdout", "before"),
        update,
        stream("stdout", "after"),
    ]


def test_closed_widget_leaves_nothing():
    view = Message("display_data", {"data": {VIEW: {"model_id": "m"}, "text/plain": "bar"}})
    assert static_widgets([view, Message("comm_close", {"comm_id": "m"})]) == []


def frames(message):
    return SESSION.serialize(SESSION.msg(message.msg_type, message.content))


def decoded(kept):
    def decode(parts):
        header, _parent, _metadata, content = map(SESSION.unpack, parts[-4:])
        return Message(header["msg_type"], content)

    return kept.messages(decode)


def keep(limit, *messages):
    kept = Kept(limit)
    for message in messages:
        kept.add(frames(message))
    return kept


def update(display_id, text):
    transient = {"display_id": display_id}
    return Message("update_display_data", {"data": {"text/plain": text}, "transient": transient})


CLEAR = Message("clear_output", {"wait": False})
CLEAR_LATER = Message("clear_output", {"wait": True})


def test_all_is_kept_below_the_limit_and_without_one():
    messages = [stream("stdout", "x" * 100), CLEAR, update("a", "1"), update("a", "2")]
    for limit in (None, 100_000):
        kept = keep(limit, *messages, Message("status", {}))
        assert decoded(kept) == messages
        assert kept.left_out == 0


def test_above_the_limit_the_first_and_the_last_are_kept():
    messages = [stream("stdout", f"{n:04} " + "x" * 1000) for n in range(100)]
    kept = keep(20_000, *messages)
    found = decoded(kept)
    at = next(n for n, m in enumerate(found) if "output_limit" in m.content["text"])
    assert found[:at] == messages[:at]
    assert found[at + 1 :] == messages[-(len(found) - at - 1) :]
    assert at > 5
    assert len(found) - at > 5
    left_out = len(messages) - len(found) + 1
    assert left_out * 1100 < kept.left_out < left_out * 1400


def test_what_was_cleared_does_not_count_but_what_waits_to_be_cleared_does():
    much = [stream("stdout", "x" * 4000) for _ in range(3)]
    end = stream("stdout", "end")
    assert decoded(keep(20_000, *much, CLEAR, end)) == [CLEAR, end]
    assert decoded(keep(20_000, *much, CLEAR_LATER)) == [*much, CLEAR_LATER]
    assert decoded(keep(20_000, *much, CLEAR_LATER, end)) == [end]
    other = update("elsewhere", "y")
    assert decoded(keep(20_000, other, *much, CLEAR, end)) == [other, CLEAR, end]


def test_an_output_widget_clears_only_itself():
    much = [stream("stdout", "x" * 4000) for _ in range(3)]
    messages = [*much, catching("w", "m1"), CLEAR, catching("w", "")]
    assert decoded(keep(20_000, *messages)) == messages


def test_of_many_updates_the_last_is_kept_without_a_notice():
    messages = [update("a", f"{n:04}" + "x" * 1000) for n in range(100)]
    kept = keep(20_000, *messages)
    assert kept.left_out == 0
    assert decoded(kept)[-1] == messages[-1]
    assert len(decoded(kept)) < 30
    lost = keep(20_000, *(update(f"{n}", "x" * 1000) for n in range(100)))
    assert lost.left_out > 0


def test_one_large_message_is_shortened():
    short, cut = shortened(stream("stdout", "a" * 500 + "b" * 500), 100)
    assert cut == 900
    assert short.content["text"].startswith("a" * 50 + "\n[Evercell")
    assert short.content["text"].endswith("b" * 50)
    bundle = Message("display_data", {"data": {"text/html": "x" * 200, "text/plain": "plain"}})
    short, cut = shortened(bundle, 100)
    assert cut == 200
    assert list(short.content["data"]) == ["text/plain"]
    assert short.content["data"]["text/plain"].startswith("plain\n[Evercell")
    for limit in (None, 1000):
        assert shortened(bundle, limit) == (bundle, 0)
    error = Message("error", {"ename": "E", "evalue": "", "traceback": ["x" * 200]})
    assert shortened(error, 100) == (error, 0)
