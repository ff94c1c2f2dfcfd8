from datetime import UTC, datetime

from evercell.jupyter.table import TableView


def test_text_is_aligned_and_numbers_stand_right():
    view = TableView(("name", "n"), [("a", 1), ("longer", 1000), (None, None)])
    assert repr(view).splitlines() == [
        "name       n",
        "------  ----",
        "a          1",
        "longer  1000",
        "",
        "3 rows",
    ]


def test_html_is_escaped():
    html = TableView(("<c>",), [("<script>",), (None,)])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;c&gt;" in html


def test_long_results_say_how_long():
    view = TableView(("n",), [(n,) for n in range(1500)])
    assert "200 of 1,500 rows shown" in repr(view)
    assert view._repr_html_().count("<tr>") == 201


def test_values_read_well():
    at = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
    row = (True, 0.123456789, at, b"\x01\xff", "two\nlines", "x" * 100)
    text = repr(TableView(tuple("abcdef"), [row])).splitlines()[2]
    assert "true" in text
    assert "0.123457" in text
    assert "2026-01-02 03:04:05.678" in text
    assert "01ff" in text
    assert "two lines" in text
    assert "x" * 59 + "…" in text


def test_no_rows():
    assert repr(TableView(("n",), [])).splitlines() == ["n", "-", "0 rows"]
