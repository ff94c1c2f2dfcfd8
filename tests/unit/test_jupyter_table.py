from datetime import UTC, datetime, timedelta

from evercell.jupyter.table import TableView

AT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)


def test_text_is_aligned_numbers_stand_right_and_null_is_no_text():
    view = TableView(
        ("name", "n"), ("VARCHAR", "BIGINT"), [("a", 1), ("longer", 1000), ("", 5), (None, None)]
    )
    assert repr(view).splitlines() == [
        "name       n",
        "------  ----",
        "a          1",
        "longer  1000",
        "           5",
        "NULL    NULL",
        "4 rows",
    ]
    assert '<td class="null">NULL</td><td class="null number">NULL</td>' in view._repr_html_()
    assert '<th class="number">n</th>' in view._repr_html_()


def test_html_is_escaped():
    row = ("<script>", '"><script>' + "x" * 400, '{"a": "<script>"}', None)
    types = ("VARCHAR", "VARCHAR", "JSON", "VARCHAR")
    html = TableView(("<c>", "b", "c", "d"), types, [row])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;c&gt;" in html
    assert 'title="&quot;&gt;&lt;script&gt;xxx' in html


def test_long_results_say_how_long_and_how_to_get_them():
    view = TableView(("n",), ("INTEGER",), [(n,) for n in range(1500)])
    assert "200 of 1,500 rows shown; -o name" in repr(view)
    assert view._repr_html_().count("<tr>") == 201


def test_values_read_well():
    row = (True, 0.123456789, AT, timedelta(seconds=125), "two\nlines", "x" * 100)
    types = ("BOOLEAN", "DOUBLE", "TIMESTAMP WITH TIME ZONE", "INTERVAL", "VARCHAR", "VARCHAR")
    view = TableView(tuple("abcdef"), types, [row])
    text = repr(view).splitlines()[2]
    assert "true" in text
    assert "0.123457" in text
    assert AT.astimezone().strftime("%Y-%m-%d %H:%M:%S  ") in text
    assert "2 min 05 s" in text
    assert "two lines" in text
    assert "x" * 59 + "…" in text
    html = view._repr_html_()
    assert f'title="{AT.astimezone().isoformat(" ", "microseconds")}"' in html
    assert 'title="125.000000 s"' in html
    assert ">two\nlines<" in html


def test_long_sources_show_their_first_lines():
    source = "\n".join(f"line {n}" for n in range(20))
    html = TableView(("s",), ("VARCHAR",), [(source,)])._repr_html_()
    assert "line 7\n…</td>" in html
    assert "line 19" in html.partition(">line 0")[0]  # pointing at it shows the rest


def test_no_rows():
    assert repr(TableView(("n",), ("INTEGER",), [])).splitlines() == ["n", "-", "0 rows"]
