"""What recorded work had cost: the time, tokens and money that doing it once more would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

__all__ = ["Cost", "cell_costs"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one execution of a cell, with the steps that the history answered in it: these had been
    paid for in earlier executions."""

    seconds: float = 0.0
    steps: int = 0  # different calls
    input_tokens: int = 0
    output_tokens: int = 0
    money: float | None = None  # in the currency of the user's price table; None: nobody said

    def __add__(self, other: Cost) -> Cost:
        said = [cost for cost in (self.money, other.money) if cost is not None]
        return Cost(
            self.seconds + other.seconds,
            self.steps + other.steps,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            sum(said) if said else None,
        )


# An execution takes its own time, and for each earlier execution whose steps it used, the time from
# the first of these to the last: what ran side by side counts once.
_COSTS = """
WITH event AS (FROM store.event WHERE run_id = $run_id),
called AS (
    SELECT cell, activity_id FROM event WHERE type IN ('StepStarted', 'AttemptStarted')
    UNION
    SELECT cell, unnest(answered) FROM event WHERE type = 'StepsAnswered'
),
step AS (
    SELECT
        activity_id,
        arg_min(cell, seq) FILTER (WHERE type = 'StepStarted') AS cell,
        min(at_ns) AS began,
        max(at_ns) AS ended
    FROM event
    WHERE type IN (
        'StepStarted', 'AttemptStarted', 'AttemptFailed', 'StepCompleted', 'StepFailed',
        'StepCanceled'
    )
    GROUP BY activity_id
),
earlier AS (
    SELECT cell, sum(nanoseconds) AS nanoseconds
    FROM (
        SELECT c.cell, max(s.ended) - min(s.began) AS nanoseconds
        FROM called c JOIN step s USING (activity_id)
        WHERE s.cell <> c.cell
        GROUP BY c.cell, s.cell
    )
    GROUP BY cell
),
used AS (
    SELECT
        activity_id,
        sum(CAST(detail->>'$.input_tokens' AS BIGINT)) AS input_tokens,
        sum(CAST(detail->>'$.output_tokens' AS BIGINT)) AS output_tokens,
        sum(CAST(detail->>'$.cost' AS DOUBLE)) AS money
    FROM event WHERE type = 'UsageRecorded'
    GROUP BY activity_id
),
paid AS (
    SELECT
        c.cell,
        count(*) AS steps,
        sum(u.input_tokens) AS input_tokens,
        sum(u.output_tokens) AS output_tokens,
        sum(u.money) AS money
    FROM called c LEFT JOIN used u USING (activity_id)
    GROUP BY c.cell
)
SELECT
    e.activity_id,
    (CAST(e.detail->>'$.duration' AS DOUBLE) + coalesce(r.nanoseconds, 0)) / 1e9,
    coalesce(p.steps, 0),
    CAST(coalesce(p.input_tokens, 0) + coalesce(o.input_tokens, 0) AS BIGINT),
    CAST(coalesce(p.output_tokens, 0) + coalesce(o.output_tokens, 0) AS BIGINT),
    CASE
        WHEN p.money IS NULL AND o.money IS NULL THEN NULL
        ELSE coalesce(p.money, 0) + coalesce(o.money, 0)
    END
FROM event e
LEFT JOIN earlier r ON r.cell = e.activity_id
LEFT JOIN paid p ON p.cell = e.activity_id
LEFT JOIN used o ON o.activity_id = e.activity_id  -- what the cell used outside of steps
WHERE e.type IN ('CellCompleted', 'CellFailed')
"""


def cell_costs(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, Cost]:
    """The cost of each finished execution of the run's cells, by its activity_id."""
    rows: list[Any] = connection.execute(_COSTS, {"run_id": run_id}).fetchall()
    return {activity_id: Cost(*costs) for activity_id, *costs in rows}
