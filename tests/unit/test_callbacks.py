"""What of the notebook is registered outside of its variables."""

import builtins
import functools
import logging
import sys
import types

from IPython.core.events import EventManager, available_events

from evercell.cell.callbacks import Callbacks, is_notebooks
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
