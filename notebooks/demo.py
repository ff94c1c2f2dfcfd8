"""`make demo`: an agent experiment whose kernel is killed half-way, and which loses nothing.

    endpoint (a process of its own, with a ledger)
    evercell run  ->  half of the agents' calls answered: kill -9 the kernel  ->  evercell run again
    history (DuckDB) and ledger are compared: whatever was finished was not asked again

Exit code 0 when everything held, 1 when a check failed. The run stays in the folder for a look.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from endpoint.ledger import Entry, requests
from endpoint.process import EndpointProcess
from experiment import Experiment, prepare_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

CONCURRENCY = 2  # calls under way at once, as the notebook has it: so many can be lost in a kill
RUN_SECONDS = 900.0  # enough for a model on a slow and busy machine

MODEL_CALLS = "name IN ('guess', 'decide')"

CELLS = """
SELECT c.generation AS kernel, c.cell_id AS cell, c.decision, c.status,
       nullif(count(DISTINCT a.activity_id), 0) AS steps, nullif(count(a.attempt), 0) AS attempts,
       round(epoch(c.duration), 1) AS seconds, round(epoch(c.saved), 1) AS saved,
       sum(u.input_tokens + u.output_tokens) AS tokens
FROM cells c
LEFT JOIN attempts a ON a.cell_activity_id = c.activity_id
LEFT JOIN usage u ON u.activity_id = a.activity_id AND u.attempt = a.attempt
GROUP BY c.generation, c.cell_id, c.decision, c.status, c.duration, c.saved, c.started_at
ORDER BY c.started_at
"""

STEPS = """
WITH tokens AS (
    SELECT activity_id, sum(input_tokens + output_tokens) AS tokens FROM usage GROUP BY activity_id
)
SELECT name AS step, status, count(*) AS calls, sum(attempts) AS attempts,
       sum(restored) AS "from history", round(sum(epoch(duration)), 1) AS seconds,
       sum(tokens) AS tokens
FROM steps LEFT JOIN tokens USING (activity_id)
GROUP BY name, status
ORDER BY seconds DESC
"""


RESTORED = """
SELECT count(*), coalesce(sum(steps), 0)
FROM cells
LEFT JOIN (SELECT cell_id, count(*) AS steps FROM steps GROUP BY cell_id) USING (cell_id)
WHERE decision = 'restored'
"""


@dataclass(frozen=True, slots=True)
class Kill:
    """How things stood when the kernel was gone."""

    requests: int  # in the endpoint's ledger
    calls: int  # model calls finished in the history


def answered(entries: Sequence[Entry]) -> int:
    """How many requests were answered well."""
    return sum(entry.outcome == "200" for entry in entries)


def check(console: Console, text: str, ok: bool) -> bool:
    """Print one claim and whether it held."""
    console.print(f"  [{'green' if ok else 'bold red'}]{'✓' if ok else '✗'}[/] {text}")
    return ok


def print_table(console: Console, title: str, experiment: Experiment, sql: str) -> None:
    """Print what SQL finds in the history."""
    columns, rows = experiment.query(sql)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for n, name in enumerate(columns):
        numeric = all(row[n] is None or isinstance(row[n], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)


def count(experiment: Experiment, condition: str) -> int:
    """How many steps meet `condition`."""
    [(found,)] = experiment.rows(f"SELECT count(*) FROM steps WHERE {condition}")
    return int(found)


def report(console: Console, experiment: Experiment, kill: Kill, entries: list[Entry]) -> bool:
    """Compare the history with the endpoint's ledger, aloud."""
    print_table(console, "Cells, as each kernel ran or restored them", experiment, CELLS)
    print_table(console, "Steps, over both kernels", experiment, STEPS)
    asked = len(requests(entries))
    calls = count(experiment, f"{MODEL_CALLS} AND status = 'completed'")
    [(answers,)] = experiment.rows("SELECT coalesce(sum(restored), 0) FROM steps")
    [(cells, kept)] = experiment.rows(RESTORED)
    console.print(
        f"  {count(experiment, 'true')} steps, of them {calls} model calls\n"
        f"  {kept + answers} steps came back from the history: {kept} with {cells} restored cells, "
        f"{answers} one by one in the interrupted cell\n"
        f"  {asked} requests by the endpoint's own count: {kill.requests} before the kill, "
        f"{asked - kill.requests} after it\n"
    )
    distinct = len({entry.body for entry in entries})
    lost = kill.requests - kill.calls
    checks = [
        check(console, "every model call of the run is in the history", calls == distinct),
        check(
            console,
            f"no finished call was asked again: {asked - calls} more requests than calls, "
            f"{lost} calls were under way at the kill",
            asked - calls <= lost <= CONCURRENCY,
        ),
        check(console, "steps came back from the history", answers > 0),
        check(console, "nothing is unfinished", not count(experiment, "status <> 'completed'")),
    ]
    return all(checks)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill an agent experiment half-way; resume it.")
    parser.add_argument("--inputs", type=int, default=60, help="questions to ask (default 60)")
    parser.add_argument("--folder", type=Path, default=Path("artifacts/demo"))
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 100
    folder = options.folder.resolve()
    prepare_folder(folder)
    with EndpointProcess(["-m", "endpoint.model"], folder / "ledger.jsonl") as endpoint:
        experiment = Experiment(folder, options.inputs, endpoint.url)
        console.rule("evercell run, until the kernel is killed")
        # A call from memory and at least two as an agent for each question: after twice as many
        # answers as questions, half of the long cell is done.
        if not experiment.kill_when(
            experiment.start(),
            endpoint,
            lambda entries: answered(entries) >= 2 * options.inputs,
            timeout=RUN_SECONDS,
        ):
            console.print("[bold red]The run ended before its kernel could be killed.[/]")
            return 1
        kill = Kill(
            requests=len(requests(endpoint.entries)),
            calls=count(experiment, f"{MODEL_CALLS} AND status = 'completed'"),
        )
        console.rule("evercell run again, which resumes")
        exit_code = experiment.start().wait(timeout=RUN_SECONDS)
        entries = endpoint.entries
    console.rule("what the history and the endpoint say")
    if exit_code != 0:
        console.print(f"[bold red]The resumed run failed with exit code {exit_code}.[/]")
        return 1
    ok = report(console, experiment, kill, entries)
    console.print(f"\nThe notebook with its results: {os.path.relpath(experiment.result)}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
