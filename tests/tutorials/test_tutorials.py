"""Public tutorials: equal outputs under plain ipykernel, under Evercell, and after kill -9.

docs/tutorials.md holds what was found. `make test` runs a sample with one kill each, `make soak`
all of them, killed after each cell.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .catalogue import SAMPLE, TUTORIALS, Tutorial, fetched
from .trial import Trial, attempt, summary

_TABLE = Path(__file__).parents[2] / "docs" / "tutorials.md"
_ROW = re.compile(r"^\| ([^|]+) " + 5 * r"\| (\d+) " + r"\| ([^|]*) \|$", re.MULTILINE)
_INTRODUCTION = """\
# Public tutorials after a kill

Notebooks, executable pages, doctests and scripts that other packages ship in their source
distributions, each run under plain ipykernel, under Evercell, and in kernels that were killed with
SIGKILL after one cell and inside of the next: the next kernel ran all from the top and went on.
(A cell whose large values were not known to come back when it was killed ran again then.)
Outputs were equal throughout (but for addresses, clocks and random ids). Finished cells ran again
only where it says so: *recomputed*, for the reasons given; *behind*: what they read is made anew by
a recomputed or a failed cell; *failed*: they fail in plain ipykernel, too. `make tutorials` fetches
the documents, `make test` tries a sample, `make soak` kills after each cell of each and writes this
table.

| tutorial | cells | restored | recomputed | behind | failed | why not restored |
|---|---|---|---|---|---|---|
"""
Row = tuple[str, ...]

needs_documents = pytest.mark.skipif(
    not fetched(), reason="the tutorials are not fetched: make tutorials"
)


@lru_cache
def _trial(tutorial: Tutorial, kills: tuple[int, ...] | None) -> Trial:
    with TemporaryDirectory() as folder:
        return attempt(tutorial, Path(folder), kills)


def _sampled() -> list[Tutorial]:
    return [tutorial for tutorial in TUTORIALS if tutorial.name in SAMPLE]


def _check(trial: Trial) -> None:
    assert not trial.different, "\n".join(trial.different)
    assert not trial.changed, "\n".join(trial.changed)
    assert not trial.repeated, "\n".join(trial.repeated)


def _row(trial: Trial) -> Row:
    reasons = "; ".join(sorted({_short(reason) for reason in trial.reasons}))
    counts, failed = trial.counts, len(trial.failed)
    behind = counts["executed"] - failed
    numbers = (len(trial.cells), counts["restored"], counts["recomputed"], behind, failed)
    return (trial.name, *map(str, numbers), reasons)


def _short(reason: str) -> str:
    """Without the variables' names, which may be many."""
    reason = reason.removeprefix("a cell needs what can't be stored: ")
    return re.sub(r"^[\w, ]+: ", "", reason).replace("|", "/")


def _committed() -> dict[str, Row]:
    return {row[0]: row for row in _ROW.findall(_TABLE.read_text(encoding="utf-8"))}


def test_there_are_enough_tutorials_and_each_has_its_row() -> None:
    assert len(TUTORIALS) >= 12
    assert list(_committed()) == [tutorial.name for tutorial in TUTORIALS]


@needs_documents
@pytest.mark.parametrize("tutorial", _sampled(), ids=lambda tutorial: tutorial.name)
def test_sample_is_what_a_plain_run_gives_after_kills(tutorial: Tutorial) -> None:
    trial = _trial(tutorial, (4,))
    _check(trial)
    assert _row(trial) == _committed()[tutorial.name]


@needs_documents
@pytest.mark.soak
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda tutorial: tutorial.name)
def test_each_is_what_a_plain_run_gives_after_a_kill_at_every_cell(tutorial: Tutorial) -> None:
    _check(_trial(tutorial, None))


@needs_documents
@pytest.mark.soak
def test_the_table_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the trials; writes the table where it changed, so that the diff can be read."""
    trials = [_trial(tutorial, None) for tutorial in TUTORIALS]
    with capsys.disabled():
        print(f"\n{summary(trials)}")
    rows = {trial.name: _row(trial) for trial in trials}
    if rows != _committed():
        lines = (f"| {' | '.join(row)} |" for row in rows.values())
        _TABLE.write_text(_INTRODUCTION + "\n".join(lines) + "\n", encoding="utf-8")
        pytest.fail("docs/tutorials.md was out of date; read what changed in it")
