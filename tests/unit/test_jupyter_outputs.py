from evercell.cell.outputs import Message
from evercell.jupyter.outputs import join_streams, without_live_view

VIEW = "application/vnd.jupyter.widget-view+json"


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
    assert without_live_view(message).content == {
        "data": {"text/html": "<b>", "text/plain": "b"},
        "metadata": {},
        "transient": {"d": 1},
    }
    assert VIEW in data


def test_widget_view_alone_stays():
    message = Message("display_data", {"data": {VIEW: {"model_id": "m"}}, "metadata": {}})
    assert without_live_view(message) is message
