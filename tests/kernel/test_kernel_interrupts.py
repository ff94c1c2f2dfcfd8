"""Stop means stop, soon, for every kind of cell; and the kernel lives on."""

import time

SOON = 30  # seconds: half of what the cells take when nobody stops them, on a busy machine


def interrupt(k, code):
    msg_id = k.send(code)
    k.wait_for_status(msg_id)
    # The cell says when it is inside of what is to be interrupted.
    while k.client.get_iopub_msg(timeout=30)["msg_type"] != "display_data":
        pass
    k.manager.interrupt_kernel()
    began = time.monotonic()
    answer = k.receive(msg_id)
    return answer, time.monotonic() - began


BEGUN = "import asyncio, time\nfrom IPython.display import display\ndisplay('begun')\n"


def test_quiet_await_is_interrupted_at_once(k):
    answer, seconds = interrupt(k, BEGUN + "await asyncio.sleep(60)")
    assert answer.reply["status"] == "error"
    assert answer.reply["ename"] == "CancelledError"
    assert seconds < SOON


def test_sleep_is_interrupted(k):
    # CPython may look for signals and then begin to sleep; one that arrives in between waits for
    # the sleep's end, in plain ipykernel as well (4 of 800 tries). So each sleep is a short one.
    answer, seconds = interrupt(k, BEGUN + "for _ in range(600): time.sleep(0.1)")
    assert answer.reply["ename"] == "KeyboardInterrupt"
    assert seconds < SOON


def test_computation_is_interrupted(k):
    answer, seconds = interrupt(k, BEGUN + "while True: pass")
    assert answer.reply["ename"] == "KeyboardInterrupt"
    assert seconds < SOON


def test_subprocess_wait_is_interrupted(k):
    answer, seconds = interrupt(k, BEGUN + "import subprocess; subprocess.run(['sleep', '60'])")
    assert answer.reply["ename"] == "KeyboardInterrupt"
    assert seconds < SOON


def test_interrupt_ends_the_queue_and_the_kernel_lives(k):
    msg_id = k.send(BEGUN + "for _ in range(610): time.sleep(0.1)")
    queued = k.send("'never'")
    k.wait_for_status(msg_id)
    while k.client.get_iopub_msg(timeout=30)["msg_type"] != "display_data":
        pass
    k.manager.interrupt_kernel()
    assert k.receive(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert k.receive(queued).reply["status"] == "aborted"
    assert k.run("'alive'").reply["status"] == "ok"


def test_interrupt_while_the_engine_works_ends_as_a_reply(k):
    """An await of the engine's own: nothing of the user's runs, so the signal is held."""
    k.run(
        "import fake_engine, asyncio, os, signal\n"
        "plain_execute = fake_engine.FakeSession.execute\n"
        "async def slow(self, request, host):\n"
        "    if '# slow' in request.source:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        await asyncio.sleep(0.05)\n"
        "    return await plain_execute(self, request, host)\n"
        "fake_engine.FakeSession.execute = slow\n"
    )
    answer = k.run("ran = True  # slow")
    assert answer.reply["ename"] == "KeyboardInterrupt"
    assert k.value("'ran' in globals()") is False
    assert k.run("'alive still'").reply["status"] == "ok"


def test_second_interrupt_breaks_off_the_engine(k):
    k.run(
        "async def stuck(self, request, host):\n"
        "    if '# stuck' in request.source:\n"
        "        for _ in range(2):\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            for _ in range(1000): pass\n"
        "        raise AssertionError('not reached')\n"
        "    return await plain_execute(self, request, host)\n"
        "fake_engine.FakeSession.execute = stuck\n"
    )
    assert k.run("1  # stuck").reply["ename"] == "KeyboardInterrupt"
    assert k.run("'alive again'").reply["status"] == "ok"
