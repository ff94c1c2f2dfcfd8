"""Every kind is equal after a kill, or made anew for a reason; none is wrong. See docs/zoo.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from zoo.kinds import BATCHES, KINDS

_TESTS = Path(__file__).parents[1]
_TABLE = _TESTS.parent / "docs" / "zoo.md"
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| (equal|recomputed|run again) \|", re.MULTILINE)
_INTRODUCTION = """\
# What comes back after a kill

Each kind is made by a cell in one process and looked at in another one. *equal*: restored from the
history, with the same content and the same sharing. *recomputed*: it can't be stored, so its cell
runs again when the notebook does, its steps answered from the history. *run again*: what the cell
did can't be told for sure, and the same happens. No kind comes back as something else. Written by
`tests/zoo`, with the newest version of each package.
"""
_PACKAGES = [package for batch in BATCHES for package in batch]


@lru_cache
def _outcomes(batch: tuple[str, ...]) -> list[dict[str, str]]:
    """The batch, built in one process and restored in another."""
    path = os.pathsep.join([str(_TESTS), str(_TESTS / "unit"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg"}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "history")
        for command in (["build", file, *batch], ["restore", file]):
            done = subprocess.run(
                [sys.executable, "-m", "zoo.keeper", *command],
                env=environment, capture_output=True, text=True, check=False, timeout=100,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}: {done.stderr[-4000:]}"
    found: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _of(package: str) -> list[dict[str, str]]:
    batch = next(batch for batch in BATCHES if package in batch)
    found = [row for row in _outcomes(batch) if row["package"] == package]
    if not found:
        pytest.skip(f"{package} is not installed")
    return found


def test_there_are_enough_kinds() -> None:
    assert len({(kind.package, kind.name) for kind in KINDS}) == len(KINDS) >= 150


@pytest.mark.parametrize("package", _PACKAGES)
def test_none_is_wrong(package: str) -> None:
    wrong = [f"{row['name']}: {row['detail']}" for row in _of(package) if row["outcome"] == "wrong"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", _PACKAGES)
def test_each_that_is_not_restored_says_why(package: str) -> None:
    assert [
        row["name"] for row in _of(package) if row["outcome"] != "equal" and not row["reason"]
    ] == []


def test_the_table_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the table; writes it where an outcome changed, so that the diff can be read."""
    rows = [row for batch in BATCHES for row in _outcomes(batch)]
    there = {row["package"] for row in rows}
    with capsys.disabled():
        print(f"\n{_summary(rows)}")
    committed = dict(_committed())
    wanted = {key: outcome for key, outcome in committed.items() if key[0] in there}
    now = {(row["package"], row["name"].replace("|", "/")): row["outcome"] for row in rows}
    if now != wanted and there == set(_PACKAGES):
        _TABLE.write_text(_document(rows), encoding="utf-8")
    assert now == wanted, "docs/zoo.md was out of date; read what changed in it"


def _committed() -> list[tuple[tuple[str, str], str]]:
    text = _TABLE.read_text(encoding="utf-8") if _TABLE.exists() else ""
    return [((package, name), outcome) for package, name, outcome in _ROW.findall(text)]


def _summary(rows: list[dict[str, str]]) -> str:
    counts = Counter(row["outcome"] for row in rows)
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())


def _document(rows: list[dict[str, str]]) -> str:
    head = f"{len(rows)} kinds: {_summary(rows)}."
    lines = [
        _INTRODUCTION,
        head,
        "",
        "| package | kind | after a kill | reason |",
        "|---|---|---|---|",
    ]
    for row in rows:
        cells = (row["package"], row["name"], row["outcome"], row["reason"])
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", text.replace("|", "/"))
