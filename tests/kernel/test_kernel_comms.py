"""A widget's message is handled on the subshell that the browser chose, while a cell blocks."""

import time

CELL = """
import comm, threading
pressed = threading.Event()
button = comm.create_comm(target_name="button", data={})
button.on_msg(lambda message: pressed.set())
button.send({"drawn": True})  # from the main shell, whose name ipykernel would remember
came = pressed.wait(20)
"""


def test_message_on_a_subshell_is_handled_while_the_cell_blocks(k):
    client = k.client
    request = client.session.msg("create_subshell_request", {})
    client.control_channel.send(request)
    subshell = client.get_control_msg(timeout=30)["content"]["subshell_id"]
    msg_id = k.send(CELL)
    message = client.get_iopub_msg(timeout=30)
    while message["msg_type"] != "comm_msg":
        message = client.get_iopub_msg(timeout=30)
    content = {"comm_id": message["content"]["comm_id"], "data": {"method": "click"}}
    click = client.session.msg("comm_msg", content)
    click["header"]["subshell_id"] = subshell
    began = time.monotonic()
    client.shell_channel.send(click)
    k.receive(msg_id)
    assert time.monotonic() - began < 5
    assert k.value("came") is True


def test_comm_messages_are_not_recorded(k):
    k.run("import comm\nc = comm.create_comm(target_name='t', data={}); c.send({'a': 1})\nprint(1)")
    assert k.recorded() == [("stream", {"name": "stdout", "text": "1\n"})]
