"""Drives a real kernel process and gives what it published per cell."""

import ast
import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.manager import KernelManager

HERE = Path(__file__).parent
PACKAGES = [HERE.parents[1] / "kernel", HERE.parents[1] / "widgets", HERE]
OUTPUTS = {
    "stream",
    "display_data",
    "update_display_data",
    "execute_result",
    "error",
    "clear_output",
}


@dataclass
class Answer:
    reply: dict
    messages: list  # (msg_type, content), neighbouring texts of one stream joined
    seconds: float

    def text(self, name="stdout"):
        return "".join(c["text"] for t, c in self.messages if t == "stream" and c["name"] == name)


class Kernel:
    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def send(self, code, metadata=None, **options):
        client = self.client
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
            **options,
        }
        message = client.session.msg("execute_request", content, metadata=metadata)
        client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def receive(self, msg_id, timeout=30):
        began = time.monotonic()
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind in OUTPUTS:
                last = messages[-1] if messages else (None, {})
                if kind == last[0] == "stream" and last[1]["name"] == content["name"]:
                    content = {**content, "text": last[1]["text"] + content["text"]}
                    messages.pop()
                messages.append((kind, content))
        while True:
            reply = self.client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == msg_id:
                return Answer(reply["content"], messages, time.monotonic() - began)

    def run(self, code, metadata=None, timeout=30, **options):
        return self.receive(self.send(code, metadata, **options), timeout)

    def value(self, expression):
        """A Python literal computed in the kernel, aside of the cells."""
        reply = self.run("", silent=True, user_expressions={"v": f"({expression})"}).reply
        result = reply["user_expressions"]["v"]
        assert result["status"] == "ok", result
        return ast.literal_eval(result["data"]["text/plain"])

    def recorded(self):
        """The messages that the engine was given for the last cell that ran."""
        found = json.loads(self.value("__import__('fake_engine').recorded()"))
        return [(kind, content) for kind, content in found]

    def wait_for_status(self, msg_id, state="busy"):
        while True:
            message = self.client.get_iopub_msg(timeout=30)
            same = message["parent_header"].get("msg_id") == msg_id
            if same and message["content"].get("execution_state") == state:
                return


@contextmanager
def kernel(home, *, module="evercell.jupyter", fake=True, env=None):
    """A kernel process with its files in `home`, on the fake engine unless told otherwise."""
    manager = KernelManager()
    extra = ["--IPKernelApp.extra_extensions=fake_engine"] if fake else []
    spec = manager.kernel_spec
    spec.argv[:] = [sys.executable, "-m", module, "-f", "{connection_file}", *extra]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, PACKAGES)),
        "IPYTHONDIR": str(home),  # not the user's own profile and input history
        **(env or {}),
    }
    environment.pop("PYTEST_CURRENT_TEST", None)  # ipykernel would leave fd 1 alone
    manager.start_kernel(env=environment, cwd=str(home))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
