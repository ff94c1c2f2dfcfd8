from __future__ import annotations

from evercell.engine.host import CellRequest
from evercell.engine.places import Place, Places


def request(cell_id: str | None = None) -> CellRequest:
    return CellRequest("source", "source", 1, cell_id)


def run_all(places: Places, cells: list[tuple[str | None, bytes]]) -> list[Place]:
    found = []
    for cell_id, digest in cells:
        place = places.resolve(request(cell_id), digest)
        places.finished(place.slot)
        found.append(place)
    return found


def recorded(cells: list[tuple[str | None, bytes]]) -> tuple[Places, list[str]]:
    """A new process's places after an earlier one ran `cells`."""
    earlier = run_all(Places(), cells)
    places = Places()
    for (cell_id, digest), place in zip(cells, earlier, strict=True):
        position = None if cell_id else place.position
        places.learn(place.slot, cell_id, digest, place.ordinal, position)
    return places, [place.slot for place in earlier]


def test_an_id_keeps_its_slot_over_edits() -> None:
    places, slots = recorded([("a", b"1"), ("b", b"2")])
    assert [p.slot for p in run_all(places, [("b", b"9"), ("a", b"1")])] == slots[::-1]


def test_without_ids_source_and_ordinal_are_the_cell() -> None:
    cells = [(None, b"1"), (None, b"2"), (None, b"2")]
    places, slots = recorded(cells)
    again = run_all(places, [(None, b"2"), (None, b"1"), (None, b"2")])
    assert [p.slot for p in again] == [slots[1], slots[0], slots[2]]
    assert [p.ordinal for p in again] == [0, 0, 1]


def test_without_ids_an_edited_cell_is_found_by_its_position() -> None:
    places, slots = recorded([(None, b"1"), (None, b"2"), (None, b"3")])
    again = run_all(places, [(None, b"1"), (None, b"edited"), (None, b"3")])
    assert [p.slot for p in again] == slots


def test_a_failed_cell_run_once_more_is_the_same_cell() -> None:
    places = Places()
    first = places.resolve(request(), b"1")
    again = places.resolve(request(), b"1")
    assert again.slot == first.slot
    assert not again.seen
    places.finished(again.slot)
    other = places.resolve(request(), b"1")
    assert other.slot != first.slot
    assert other.ordinal == 1


def test_a_finished_cell_with_an_id_is_seen_the_second_time() -> None:
    places = Places()
    first, second = run_all(places, [("a", b"1"), ("a", b"1")])
    assert (first.seen, second.seen) == (False, True)
    assert first.ordinal == second.ordinal == 0


def test_recorded_without_ids_and_resumed_with_ids() -> None:
    places, slots = recorded([(None, b"1"), (None, b"2")])
    assert [p.slot for p in run_all(places, [("a", b"1"), ("b", b"2")])] == slots
