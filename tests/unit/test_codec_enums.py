"""Enums of the notebook come back with all that their members have."""

import sys
import types

import pytest

from evercell.codec.pickling import dump, load

CELL = """
import enum
class Planet(enum.Enum):
    EARTH = (5, 6)
    HOME = (5, 6)
    MARS = (6, 3)
    def __init__(self, mass, radius): self.mass, self.seen = mass, [radius]
class Mode(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE
class Name(str, enum.Enum):
    A = "a"
    @classmethod
    def _missing_(cls, value): return cls.A
class Own(enum.Enum):
    def __new__(cls, value):
        member = object.__new__(cls)
        member._value_, member.twice = value, value * 2
        return member
    ONE = 1
class Auto(enum.IntEnum):
    def _generate_next_value_(name, start, count, last): return count + 10
    X = enum.auto()
    Y = enum.auto()
"""


@pytest.fixture
def cell(monkeypatch):
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(CELL, vars(module))
    return vars(module)


@pytest.mark.parametrize("name", ["Planet", "Mode", "Name", "Own", "Auto"])
def test_enum_comes_back_with_aliases_and_what_its_members_hold(cell, name):
    kind = cell[name]
    dumped = dump({name: kind}, cell, own=cell)
    back = load(dumped.stream, (), cell)[name]
    assert told(back) == told(kind)
    assert list(map(str, back)) == list(map(str, kind))
    again = dump({name: back}, cell, own={name: back})
    assert again.digest() == dumped.digest()


def told(kind):
    members = kind.__members__.items()
    extra = [(getattr(m, "mass", 0), getattr(m, "seen", 0), getattr(m, "twice", 0)) for m in kind]
    return [(name, member.name, member.value) for name, member in members], extra


def test_alias_is_the_member_and_a_flag_can_be_composed(cell):
    stored = dump({name: cell[name] for name in ("Planet", "Mode", "Name")}, cell, own=cell).stream
    kinds = load(stored, (), cell)
    assert kinds["Planet"].HOME is kinds["Planet"].EARTH is kinds["Planet"]["HOME"]
    assert kinds["Mode"].READ | kinds["Mode"].WRITE is kinds["Mode"].BOTH
    assert kinds["Name"]("other") is kinds["Name"].A
