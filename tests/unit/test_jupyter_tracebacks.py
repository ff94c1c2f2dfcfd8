import traceback
import types

from evercell.jupyter.tracebacks import drop_own_frames

own = types.ModuleType("evercell.engine.wrapper")
exec(
    "def call(f):\n    return f()\n"
    "def fail():\n    raise TimeoutError('ours')\n"
    "def again(f):\n"
    "    try:\n        f()\n    except Exception as e:\n        raise OSError from e",
    own.__dict__,
)


def inner():
    raise ValueError("user's")


def caught(f, *args):
    try:
        f(*args)
    except Exception as error:
        return error
    raise AssertionError


def names(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_our_frames_go_and_the_users_stay():
    error = caught(own.call, lambda: own.call(inner))
    assert "call" in names(error)
    drop_own_frames(error)
    assert names(error) == ["caught", "<lambda>", "inner"]


def test_an_error_of_ours_ends_at_the_users_call():
    def cell():
        own.fail()

    error = caught(cell)
    drop_own_frames(error)
    assert names(error) == ["caught", "cell"]


def test_causes_and_groups_are_followed():
    error = caught(own.again, lambda: own.call(inner))
    group = ExceptionGroup("two", [error])
    error.__context__ = group  # a ring, as user code can make one
    drop_own_frames(group)
    assert names(error) == ["caught"]
    assert names(error.__cause__)[-2:] == ["<lambda>", "inner"]
    assert "call" not in names(error.__cause__)
