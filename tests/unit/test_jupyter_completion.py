import json
import sys

import pytest

from evercell.history.catalogue import views
from evercell.jupyter.completion import suggest

COMMANDS = ("status", "sql", "new-run")
NAMESPACE = {
    "model": "small",
    "_private": 1,
    "json": json,
    "pytest": pytest,
    "In": [],
    "More": type,
}


def complete(text):
    """The suggestions at the | in `text`, without their kinds."""
    cursor = text.index("|")
    found = suggest(text.replace("|", ""), cursor, NAMESPACE, COMMANDS)
    if found is None:
        return None
    assert text[:cursor].endswith(found.fragment)
    return [name for name, _ in found.items]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("%%evercell sql\nSELECT * FROM st|", ["steps"]),
        ("%%evercell sql\nselect * from runs r join ce|", ["cells"]),
        ("%%evercell sql\nFROM usage SELECT mo|", ["model"]),
        ("%%evercell sql\nSELECT res| FROM steps", ["result", "result_size", "result_codec"]),
        ("%%evercell sql\nSELECT s.res| FROM steps s", ["restored", "result", "result_size"]),
        ("%%evercell sql\nSELECT steps.nam|", ["name"]),
        ("%%evercell sql\nFROM steps AS a JOIN runs b ON a.run_id = b.work|", ["workflow"]),
        ("%%evercell sql\nWITH latest AS (FROM cells) SELECT * FROM la|", ["latest"]),
        ("%%evercell sql\nSELE|", ["SELECT"]),
        ("%%evercell sql\nsele|", ["select"]),
        ("%%evercell sql\nSELECT quan|", ["quantile_cont"]),
        ("%%evercell sql\nFROM steps WHERE x = $|", ["$model"]),
        ("%%evercell sql\nFROM steps WHERE x = $mo|", ["$model"]),
        ("%%evercell sql -|", ["-o", "--pandas", "--polars"]),
        ("%%evercell sql -o df --po|", ["--polars"]),
        ("%evercell sql SELECT * FROM ru|", ["runs"]),
        ("x = 1\n%evercell sql FROM at|\ny = 2", ["attempts"]),
        ("%evercell |", ["status", "sql", "new-run"]),
        ("%%evercell s|", ["status", "sql"]),
    ],
)
def test_what_comes_first(text, first):
    found = complete(text)
    assert found[: len(first)] == first or set(first) <= set(found)


def test_columns_of_the_views_in_use_come_before_everything():
    found = complete("%%evercell sql\nSELECT | FROM usage")
    columns = list(views()["usage"].columns)
    assert found[: len(columns)] == columns
    assert "traceback" not in found
    assert "steps" in found


def test_only_views_after_from():
    assert complete("%%evercell sql\nSELECT * FROM |") == list(views())


@pytest.mark.parametrize(
    "text",
    [
        "%%evercell sql\nSELECT 'sel|",
        "%%evercell sql\nSELECT 1 -- sel|",
        "%%evercell sql\nSELECT /* x\n sel|",
        '%%evercell sql\nSELECT "sel|',
        "%%evercell sql\nSELECT 'it''s sel|",
        "%%evercell sql\nSELECT unknowable_|",
    ],
)
def test_nothing_is_known_inside_texts_and_comments(text):
    assert complete(text) == []


@pytest.mark.parametrize("query", ["SELECT 'x' -- y\n, sel|", "SELECT a->>'b' - 1 / 2, sel|"])
def test_texts_and_comments_end(query):
    assert complete(f"%%evercell sql\n{query}") == ["select"]


@pytest.mark.parametrize(
    "text",
    ["x = sel|", "%%time\nsel|", "%%evercell volatile\nsel|", "%evercell sql FROM runs\nsel|"],
)
def test_other_cells_are_none_of_ours(text):
    assert complete(text) is None


def test_no_pattern_takes_long_on_a_long_query():
    quoted = "''" * 20_000
    assert complete(f"%%evercell sql\nSELECT '{quoted}|") == []
    assert complete(f"%%evercell sql\nSELECT {'- ' * 20_000} sel|") == ["select"]


def test_completing_loads_no_duckdb():
    import subprocess

    code = (
        "import sys\nfrom evercell.jupyter.completion import suggest\n"
        "assert suggest('%%evercell sql\\nFROM ru', 22, {}, ()).items\n"
        "assert 'duckdb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
