"""Exceptions with all that they hold: traceback, chain, notes, fields."""

import copyreg
import inspect
import json
import linecache
import traceback

import pytest

from evercell.codec.equal import same
from evercell.codec.exceptions import decode_exception, encode_exception
from evercell.codec.pickling import dump, load
from evercell.codec.tracebacks import make_traceback, packed, points_of, unpacked

CELL = """
class Slotted(Exception):
    __slots__ = ("where",)
class Own(Exception):
    def __init__(self, a, b): super().__init__(a); self.b = b
    def __reduce__(self): return Own, (self.args[0], self.b)
class Lossy(Exception):
    def __init__(self, a=0): super().__init__(a); self.a = a
    def __reduce__(self): return Lossy, ()
def caught(call):
    try:
        return call()
    except BaseException as error:
        return error
def chained(kind, *args):
    try:
        1 / 0
    except ZeroDivisionError as error:
        made = kind(*args)
        made.add_note("a note")
        raise made from error
def slotted():
    error = Slotted(1)
    error.where = "here"
    raise error
def deep(n): return deep(n + 1)
attribute = caught(lambda: [1].apend(
    2))
name = caught(lambda: nmae)
own = caught(lambda: chained(Own, 1, 2))
lossy = caught(lambda: chained(Lossy, 4))
in_slots = caught(slotted)
recursion = caught(lambda: deep(0))
missing = caught(lambda: __import__("no_such_module"))
"""
NAMES = ["attribute", "name", "own", "lossy", "in_slots", "recursion", "missing"]


@pytest.fixture
def live():
    return {"__name__": "__main__"}


@pytest.fixture
def cell(live):
    linecache.cache["cell-1"] = (len(CELL), None, CELL.splitlines(keepends=True), "cell-1")
    exec(compile(CELL, "cell-1", "exec"), live)
    yield live
    del linecache.cache["cell-1"]


def reloaded(value, live):
    return load(dump(value, live).stream, (), live)


@pytest.mark.parametrize("name", NAMES)
def test_exception_of_a_cell_comes_back_with_its_traceback_and_attributes(cell, name):
    error = cell[name]
    back = reloaded([error], cell)[0]
    assert traceback.format_exception(back) == traceback.format_exception(error)
    assert points_of(back.__traceback__) == points_of(error.__traceback__)
    for attribute in ("args", "name", "obj", "path", "where", "a", "b", "__notes__"):
        assert getattr(back, attribute, "-") == getattr(error, attribute, "-")
    assert back.__suppress_context__ == error.__suppress_context__
    assert same(error, back, cell)
    assert dump([back, error], cell).main == dump([error, back], cell).main


@pytest.mark.parametrize("change", ["traceback", "cause", "note"])
def test_exceptions_that_differ_in_what_they_hold_are_not_the_same(cell, change):
    error, back = cell["own"], reloaded([cell["own"]], cell)[0]
    if change == "traceback":
        back.__traceback__ = back.__traceback__.tb_next
    elif change == "cause":
        back.__cause__ = None
    else:
        back.add_note("another")
    assert not same(error, back, cell)


def test_frames_of_a_restored_traceback_know_their_place_and_no_variables(cell):
    tb = reloaded([cell["own"]], cell)[0].__traceback__
    frames = [(t.tb_frame.f_code.co_name, t.tb_lineno, t.tb_frame.f_lineno) for t in walked(tb)]
    assert frames == [("caught", 12, 14), ("<lambda>", 30, 30), ("chained", 21, 21)]
    assert tb.tb_frame.f_globals["__name__"] == cell["__name__"]
    known = [t.tb_frame.f_locals for t in walked(tb)]
    assert [list(each) for each in known] == [["call"], [], ["kind", "args"]]
    assert {repr(v) for each in known for v in each.values()} == {"<not kept>", "(<not kept>,)"}


@pytest.mark.parametrize(
    "header", ["", "a, /, b", "a, b=1, *, c, d=2", "*args, c", "**more", "a, *args, c=3, **more"]
)
def test_frames_have_their_parameters(live, header):
    exec(f"def failing({header}): raise EOFError", live)
    parameters = inspect.signature(live["failing"]).parameters.values()
    plain = [p for p in parameters if p.kind is not p.KEYWORD_ONLY and "*" not in str(p)]
    named = {p.name: 1 for p in parameters if p.kind is p.KEYWORD_ONLY}
    with pytest.raises(EOFError) as raised:
        live["failing"](*[1] * len(plain), **named)
    restored = make_traceback(points_of(raised.value.__traceback__)).tb_next
    code = raised.value.__traceback__.tb_next.tb_frame.f_code
    assert inspect.getargs(restored.tb_frame.f_code) == inspect.getargs(code)
    assert points_of(restored) == points_of(raised.value.__traceback__.tb_next)


def walked(tb):
    while tb is not None:
        yield tb
        tb = tb.tb_next


def test_column_marks_are_kept_over_several_lines_and_without_them(cell):
    points = points_of(cell["attribute"].__traceback__)
    assert points_of(make_traceback(points)) == unpacked(packed(points)) == points
    bare = [(*point[:4], None, None) for point in points]
    assert list(points_of(make_traceback(bare))) == bare
    assert [t.tb_lineno for t in walked(make_traceback(bare))] == [point[2] for point in points]
    assert make_traceback(()) is None
    assert unpacked(packed(())) == ()
    odd = ("mod", ("f\\udcff", *points[0][1][1:]), *points[0][2:])
    exec(compile("def odd(): raise EOFError", "f\udcff", "exec"), cell)
    with pytest.raises(EOFError) as raised:
        cell["odd"]()
    points = points_of(raised.value.__traceback__)
    assert points[-1][1][0] == odd[1][0]
    assert unpacked(packed(points)) == points


def test_error_of_a_library_that_says_how_it_is_pickled_keeps_its_chain(live):
    try:
        json.loads("{]")
    except json.JSONDecodeError as caught:
        error = caught
    error.add_note("n")
    error.__context__ = KeyError("k")
    back = reloaded([error], live)[0]
    assert traceback.format_exception(back) == traceback.format_exception(error)
    assert (back.doc, back.pos) == (error.doc, error.pos)


def test_error_whose_class_has_a_reducer_keeps_its_notes(live, monkeypatch):
    monkeypatch.setitem(copyreg.dispatch_table, BufferError, lambda e: (BufferError, e.args, {}))
    error = BufferError("b")
    error.add_note("n")
    assert reloaded([error], live)[0].__notes__ == ["n"]


def test_step_error_is_raised_again_with_the_frames_of_its_body(cell):
    encoded = encode_exception(cell["own"], cell)
    back = decode_exception(encoded.codec, encoded.data, cell)
    assert traceback.format_exception(back) == traceback.format_exception(cell["own"])
    generic = encode_exception(cell["in_slots"], cell)
    back = decode_exception(generic.codec, generic.data, cell)
    assert traceback.format_exception(back) == traceback.format_exception(cell["in_slots"])
    assert back.where == "here"
