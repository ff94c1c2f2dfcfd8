import pytest

from evercell.jupyter.requests import VOLATILE_TAG, CellKind, cell_index, kind_of, tags

KINDS = {
    "x = 1": CellKind.ORDINARY,
    "": CellKind.ORDINARY,
    "# %evercell status": CellKind.ORDINARY,
    "%evercell status": CellKind.CONTROL,
    "%evercell": CellKind.CONTROL,
    "\n# first\n%evercell run\n%evercell status\n": CellKind.CONTROL,
    "%evercell status\nx = 1": CellKind.ORDINARY,
    "%evercellular status": CellKind.ORDINARY,
    "%%evercell sql\nSELECT 1": CellKind.CONTROL,
    "\n%%evercell sql\nSELECT 1": CellKind.CONTROL,
    "%%evercell sql -o df\nSELECT 1": CellKind.VOLATILE,
    "%evercell sql -o df SELECT 1": CellKind.VOLATILE,
    "%%evercell sql --output df\nSELECT 1": CellKind.VOLATILE,
    "%%evercell sql --polars -o df\nSELECT 1": CellKind.VOLATILE,
    "%evercell sql --relation SELECT 1": CellKind.CONTROL,
    "%evercell status\n%evercell sql -o df SELECT 1": CellKind.VOLATILE,
    "%evercell sql SELECT -o": CellKind.CONTROL,
    "%%evercell volatile\nx = 1": CellKind.VOLATILE,
}


@pytest.mark.parametrize("source", KINDS)
def test_kind(source):
    assert kind_of(source) is KINDS[source]


def test_tags_come_from_the_metadata_and_the_magic():
    assert tags({"tags": ["a", 3, "b"]}, CellKind.ORDINARY) == ("a", "b")
    assert tags({"tags": ["a"]}, CellKind.VOLATILE) == ("a", VOLATILE_TAG)
    assert tags({"tags": [VOLATILE_TAG]}, CellKind.VOLATILE) == (VOLATILE_TAG,)
    assert tags({"tags": "abc"}, CellKind.ORDINARY) == ()
    assert tags(None, CellKind.ORDINARY) == ()


def test_cell_index_of_a_headless_run():
    assert cell_index({"evercell": {"cell_index": 3}}) == 3
    for metadata in (None, {}, {"evercell": 3}, {"evercell": {"cell_index": "3"}}):
        assert cell_index(metadata) is None
