"""What of the notebook is registered outside of its variables."""

import asyncio
import builtins
import functools
import io
import itertools
import logging
import queue
import signal
import sys
import types

import pytest
from IPython.core.events import EventManager, available_events

from evercell.cell import callbacks as looks
from evercell.cell.callbacks import Callbacks, is_notebooks
from evercell.cell.components import SIGNALS
from evercell.cell.registries import HOOKS, SHELL, SINKS, Registry
from evercell.jupyter.host import KernelHost


def notebook(source):
    live = {"__name__": "__main__", "__builtins__": builtins}
    exec(source, live)
    return live


def test_nothing_is_registered_at_first():
    callbacks = Callbacks(notebook("def f(): pass"))
    assert not callbacks  # pytest has registered something, and has it called
    assert not callbacks.look(["json", "logging"])


def test_a_filter_counts_as_long_as_it_is_there():
    live = notebook("def f(record): return True")
    callbacks, logger = Callbacks(live), logging.getLogger("evercell.tests.callbacks")
    logger.addFilter(live["f"])
    try:
        assert callbacks.look() == [("logging.getLogger('evercell.tests.callbacks')", live["f"])]
    finally:
        logger.removeFilter(live["f"])
    assert not callbacks.look()
    assert not callbacks


def test_a_registry_of_a_used_module_is_found_and_watched():
    live = notebook("def f(): pass")
    module = types.ModuleType("registry_of_callbacks")
    module.hooks = []
    sys.modules[module.__name__] = module
    try:
        callbacks = Callbacks(live)
        assert not callbacks.look([module.__name__])
        module.hooks.append(live["f"])
        assert callbacks.look([module.__name__]) == [("registry_of_callbacks.hooks", live["f"])]
        assert callbacks.look() == [("registry_of_callbacks.hooks", live["f"])]
    finally:
        del sys.modules[module.__name__]


KINDS = (
    "def f(*a, **k): return old(*a, **k)\nclass C:\n    def m(self, *a, **k): return old(*a, **k)\n"
)


@pytest.mark.parametrize(("variables", "name", "place"), HOOKS)
@pytest.mark.parametrize("kind", ["f", "C().m", "partial(f)"])
def test_each_hook_is_looked_at_closely_where_it_is_the_notebooks(variables, name, place, kind):
    old = variables[name]
    live = notebook(f"from functools import partial\n{KINDS}")
    callbacks, live["old"] = Callbacks(live), old
    mine = eval(kind, live)
    new = {**old, "key": mine} if type(old) is dict else mine
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(variables, name, [*old, mine] if type(old) is list else new)
        found = callbacks.look()
    assert (place, mine) in found
    assert not callbacks.look()


def test_the_notebooks_handler_of_any_signal_is_found():
    live = notebook(KINDS)
    callbacks = Callbacks(live)
    for number in SIGNALS:
        old = signal.getsignal(number)
        if old is None or number in (signal.SIGKILL, signal.SIGSTOP):
            continue
        signal.signal(number, live["f"])
        try:
            assert callbacks.look() == [(f"signal {number}", live["f"])]
        finally:
            signal.signal(number, old)
        assert not callbacks.look()


@pytest.mark.parametrize("setter", ["set_exception_handler", "set_task_factory"])
def test_what_the_event_loop_calls_is_found(setter):
    live = notebook(KINDS)
    callbacks = Callbacks(live)

    async def register():
        assert not callbacks.look()
        set_to = getattr(asyncio.get_running_loop(), setter)
        set_to(live["f"])
        found = callbacks.look()
        set_to(None)
        return found

    assert asyncio.run(register()) == [("the event loop", live["f"])]


VALUES = (
    "f", "C", "C()", "C().m", "partial(f)", "partial(len)", "[].append", "[f]", "(f,)", "{1: f}",
    "{f}", "{f: 1}", "[[f]]", "{1: [f]}", "[[[f]]]", "[C]", "[len, 'a', None]", "[]", "{}",
    "StringIO()", "deque()", "Queue()", "Handler()", "wraps(f)(lambda: f())", "None", "1", "len",
    "Handler",
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_the_quick_look_misses_nothing_that_the_close_one_finds(monkeypatch, value):
    live = notebook(KINDS)
    names = {
        "partial": functools.partial, "wraps": functools.wraps, "StringIO": io.StringIO,
        "deque": looks.deque, "Queue": queue.Queue, "Handler": logging.Handler,
    }  # fmt: skip
    callbacks, held = Callbacks(live), eval(value, names | live)
    for depth, sinks in itertools.product((0, 1, 2), ((), SINKS)):
        there = Registry("there", held, depth, sinks)
        monkeypatch.setattr(looks, "registries", lambda _, there=there: iter([there]))
        found = list(callbacks._known())
        assert callbacks.look() == found
        if value in ("f", "C()", "C().m", "partial(f)", "[].append"):
            assert found
        elif value in ("None", "1", "len", "Handler"):
            assert not found


@pytest.mark.parametrize("kind", ["f", "C()", "C().m"])
def test_a_handler_of_a_library_that_holds_the_notebooks_is_found(kind):
    live = notebook(KINDS)
    callbacks, mine = Callbacks(live), eval(kind, live)
    handler, logger = logging.StreamHandler(), logging.getLogger("evercell.tests.callbacks")
    logger.addHandler(handler)
    try:
        assert not callbacks.look()
        handler.formatter = mine
        assert [value for _, value in callbacks.look()] == [mine]
        handler.formatter = None
        handler.stream = io.StringIO()
        assert [value for _, value in callbacks.look()] == [handler.stream]
    finally:
        logger.removeHandler(handler)
    assert not callbacks.look()


class Shell:
    def __init__(self):
        self.events = EventManager(self, available_events)
        vars(self).update({name: [] for name in SHELL})

    def get_ipython(self):
        return self


@pytest.mark.parametrize("event", ["pre_run_cell", "post_execute"])
def test_what_the_shell_tells_of_its_events_is_found(event):
    shell = Shell()
    live = {**notebook(KINDS), "get_ipython": shell.get_ipython}
    exec(KINDS, live)
    callbacks = Callbacks(live)
    assert not callbacks.look()
    shell.events.register(event, live["f"])
    assert callbacks.look() == [("get_ipython().events", live["f"])]
    shell.events.unregister(event, live["f"])
    assert not callbacks.look()


@pytest.mark.parametrize("name", SHELL)
def test_what_the_shell_transforms_and_reports_with_is_found(name):
    shell = Shell()
    live = {**notebook(KINDS), "get_ipython": shell.get_ipython}
    exec(KINDS, live)
    callbacks = Callbacks(live)
    getattr(shell, name).append(live["f"])
    assert callbacks.look() == [(f"get_ipython().{name}", live["f"])]


def test_what_a_cell_puts_among_the_builtins_is_found(monkeypatch):
    live = notebook(KINDS)
    callbacks = Callbacks(live)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "shout", live["f"], raising=False)
        assert callbacks.look() == [("builtins.__dict__", live["f"])]
        patch.setattr(builtins, "shout", live["C"]())
        assert callbacks.look() == [("builtins.__dict__", builtins.shout)]
    assert not callbacks.look()


def test_wrapped_and_bound_functions_run_the_notebooks_code():
    live = notebook("class C:\n    def m(self): pass\ndef f(): pass\nc = C()")

    @functools.wraps(live["f"])
    def wrapper():
        return inner()

    inner = live["f"]
    for value in (wrapper, live["c"].m, live["c"], functools.partial(len, live["f"]), [].append):
        assert is_notebooks(value, live)
    assert not is_notebooks(notebook, live)


def test_a_restored_cell_tells_its_events_to_libraries_only():
    live = notebook("told = []\ndef on_cell(*a): told.append('notebook')")
    told = []

    def of_a_library(*arguments):
        told.append("library")
        events.unregister("post_execute", of_a_library)

    events = EventManager(None, available_events)
    for callback in (of_a_library, live["on_cell"]):
        events.register("post_execute", callback)
    host = types.SimpleNamespace(_shell=types.SimpleNamespace(events=events, user_ns=live))
    KernelHost._trigger(host, "post_execute")
    assert (told, live["told"]) == (["library"], [])
    assert events.callbacks["post_execute"] == [live["on_cell"]]
