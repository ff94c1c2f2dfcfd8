-- Steps and their attempts.

CREATE OR REPLACE VIEW attempts AS
WITH begun AS (
    SELECT run_id, activity_id, attempt, generation, seq, at_ns, cell
    FROM store.event
    WHERE type IN ('StepStarted', 'AttemptStarted')
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id, attempt ORDER BY seq DESC) = 1
),
ended AS (
    SELECT
        run_id, activity_id, attempt, seq, at_ns, type, duration_ns, reason, retry_delay_ns,
        error_type, error_message
    FROM store.event
    WHERE type IN ('AttemptFailed', 'StepCompleted', 'StepFailed', 'StepCanceled')
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id, attempt ORDER BY seq DESC) = 1
),
named AS (
    SELECT run_id, activity_id, name FROM store.event WHERE type = 'StepStarted'
)
SELECT
    b.run_id,
    b.activity_id,
    n.name,
    b.attempt,
    CASE e.type
        WHEN 'StepCompleted' THEN 'completed'
        WHEN 'StepFailed' THEN 'failed'
        WHEN 'AttemptFailed' THEN 'failed'
        WHEN 'StepCanceled' THEN 'canceled'
        ELSE CASE WHEN a.live THEN 'running' ELSE 'in doubt' END
    END AS status,
    make_timestamptz(b.at_ns // 1000) AS started_at,
    to_microseconds(
        CASE
            WHEN e.duration_ns > 0 THEN e.duration_ns
            ELSE greatest(e.at_ns - b.at_ns, 0)
        END // 1000
    ) AS duration,
    e.error_type || ': ' || e.error_message AS error,
    e.reason,
    to_microseconds(e.retry_delay_ns // 1000) AS retry_delay,
    b.cell AS cell_activity_id,
    b.generation
FROM begun b
LEFT JOIN ended e
    ON e.run_id = b.run_id AND e.activity_id = b.activity_id AND e.attempt = b.attempt
    AND e.seq > b.seq
LEFT JOIN named n ON n.run_id = b.run_id AND n.activity_id = b.activity_id
LEFT JOIN store.attachment a ON a.run_id = b.run_id AND a.generation = b.generation
ORDER BY b.run_id, b.seq;

COMMENT ON VIEW attempts IS 'One row for each try of a step, in order';
COMMENT ON COLUMN attempts.run_id IS 'Run that the step belongs to';
COMMENT ON COLUMN attempts.activity_id IS 'Id of the step';
COMMENT ON COLUMN attempts.name IS 'Name of the step''s function';
COMMENT ON COLUMN attempts.attempt IS 'Number of the attempt, from 1';
COMMENT ON COLUMN attempts.status IS 'running, completed, failed, canceled, or in doubt (begun, and its process ended before the attempt did)';
COMMENT ON COLUMN attempts.started_at IS 'When the attempt began';
COMMENT ON COLUMN attempts.duration IS 'How long the attempt took, without the wait before the next one';
COMMENT ON COLUMN attempts.error IS 'Type and message of the exception, if it failed';
COMMENT ON COLUMN attempts.reason IS 'Why there was no further attempt, or why it was canceled';
COMMENT ON COLUMN attempts.retry_delay IS 'How long the retry policy waited before the next attempt';
COMMENT ON COLUMN attempts.cell_activity_id IS 'Execution of the cell that made the attempt; empty in a workflow';
COMMENT ON COLUMN attempts.generation IS 'Which of the run''s kernel processes made it, from 1';

-- One pass over the events groups them by attempt, then by step: windows took twice as long.
CREATE OR REPLACE VIEW steps AS
WITH attempt AS (
    SELECT
        run_id,
        activity_id,
        attempt,
        max(seq) AS seq,
        max(seq) FILTER (type IN ('StepStarted', 'AttemptStarted')) AS begun,
        arg_max(at_ns, seq) FILTER (type IN ('StepStarted', 'AttemptStarted')) AS begun_ns,
        max(seq) FILTER (type NOT IN ('StepStarted', 'AttemptStarted')) AS ended,
        arg_max(at_ns, seq) FILTER (type NOT IN ('StepStarted', 'AttemptStarted')) AS ended_ns,
        arg_max(coalesce(duration_ns, 0), seq)
            FILTER (type NOT IN ('StepStarted', 'AttemptStarted')) AS duration_ns
    FROM store.event
    WHERE type IN (
        'StepStarted', 'AttemptStarted', 'AttemptFailed', 'StepCompleted', 'StepFailed',
        'StepCanceled'
    )
    GROUP BY run_id, activity_id, attempt
),
latest AS (
    SELECT
        run_id,
        activity_id,
        max(seq) AS seq,
        max(attempt) AS attempts,
        sum(CASE
            WHEN begun IS NULL THEN NULL
            WHEN ended > begun AND duration_ns > 0 THEN duration_ns // 1000
            WHEN ended > begun THEN greatest(ended_ns - begun_ns, 0) // 1000
            ELSE 0
        END) AS duration
    FROM attempt
    GROUP BY run_id, activity_id
),
answered AS (
    SELECT run_id, activity_id, count(*) AS restored
    FROM (SELECT run_id, unnest(answered) AS activity_id
          FROM store.event WHERE type = 'StepsAnswered')
    GROUP BY run_id, activity_id
),
cell AS (
    SELECT run_id, activity_id, CAST(detail->>'$.cell_index' AS INTEGER) AS cell_index,
        detail->>'$.cell_id' AS cell_id
    FROM store.event WHERE type IN ('CellStarted', 'CellForgotten')  -- which overrides steps
)
SELECT
    s.run_id,
    coalesce(c.cell_index, k.cell_index) AS cell_index,
    s.name,
    s.ordinal,
    CASE e.type
        WHEN 'StepCompleted' THEN 'completed'
        WHEN 'StepFailed' THEN 'failed'
        WHEN 'StepCanceled' THEN 'canceled'
        WHEN 'AttemptFailed' THEN 'retrying'
        ELSE CASE WHEN a.live THEN 'running' ELSE 'in doubt' END
    END AS status,
    l.attempts,
    coalesce(w.restored, 0) AS restored,
    TRY_CAST(s.arguments AS JSON) AS arguments,
    CASE
        WHEN e.type <> 'StepCompleted' THEN NULL
        WHEN e.view IS NULL AND e.codec = 'json' AND e.payload_data IS NOT NULL
            THEN TRY_CAST(decode(e.payload_data) AS JSON)
        ELSE TRY_CAST(e.view AS JSON)
    END AS result,
    make_timestamptz(s.at_ns // 1000) AS started_at,
    to_microseconds(CAST(l.duration AS BIGINT)) AS duration,
    e.error_type || ': ' || e.error_message AS error,
    e.reason,
    CASE WHEN e.type = 'StepCompleted' THEN e.payload_size END AS result_size,
    CASE WHEN e.type = 'StepCompleted' THEN e.codec END AS result_codec,
    CASE WHEN e.type = 'StepCompleted' THEN lower(hex(e.payload_id)) END AS result_id,
    s.at_most_once,
    s.activity_id,
    s.cell AS cell_activity_id,
    s.slot,
    coalesce(c.cell_id, k.cell_id) AS cell_id,
    r.workflow,
    r.notebook
FROM store.event s
JOIN latest l ON l.run_id = s.run_id AND l.activity_id = s.activity_id
JOIN store.event e ON e.run_id = s.run_id AND e.activity_id = s.activity_id AND e.seq = l.seq
LEFT JOIN answered w ON w.run_id = s.run_id AND w.activity_id = s.activity_id
LEFT JOIN cell c ON c.run_id = s.run_id AND c.activity_id = s.cell
LEFT JOIN store.caller k ON k.run_id = s.run_id
LEFT JOIN store.attachment a ON a.run_id = e.run_id AND a.generation = e.generation
LEFT JOIN store.named r ON r.run_id = s.run_id
WHERE s.type = 'StepStarted'
ORDER BY r.at_ns, s.run_id, s.seq;

COMMENT ON VIEW steps IS 'One row for each recorded step (a durable function call), in order of the first call';
COMMENT ON COLUMN steps.run_id IS 'Run that the step belongs to';
COMMENT ON COLUMN steps.cell_index IS 'Place in the notebook of the cell that called it first, or that started its workflow, from 0';
COMMENT ON COLUMN steps.name IS 'Name of the step''s function';
COMMENT ON COLUMN steps.ordinal IS 'Number among identical calls in the cell or workflow, from 0';
COMMENT ON COLUMN steps.status IS 'running, completed, failed, canceled, retrying (an attempt failed and another follows), or in doubt (an attempt began, and its process ended before it did)';
COMMENT ON COLUMN steps.attempts IS 'How many attempts were made';
COMMENT ON COLUMN steps.restored IS 'How often the history answered the call instead of running it';
COMMENT ON COLUMN steps.arguments IS 'Arguments by parameter name, a JSON object';
COMMENT ON COLUMN steps.result IS 'Result as JSON: result->>''answer'' reads a field. Null if it did not complete, or is too large to show here (see result_size)';
COMMENT ON COLUMN steps.started_at IS 'When it was called first';
COMMENT ON COLUMN steps.duration IS 'Sum of its attempts'' durations';
COMMENT ON COLUMN steps.error IS 'Type and message of the latest exception, unless it completed';
COMMENT ON COLUMN steps.reason IS 'Why it failed for good or was canceled, or who gave its result: "skipped by", or in a fork "overridden by"';
COMMENT ON COLUMN steps.result_size IS 'Bytes of the stored result';
COMMENT ON COLUMN steps.result_codec IS 'How the result is stored: json, pickle, parts (a pickle with large arrays behind it), or changed (with what the call changed in its arguments)';
COMMENT ON COLUMN steps.result_id IS 'Payload id of the stored result, for evercell.load';
COMMENT ON COLUMN steps.at_most_once IS 'Whether an attempt in doubt is never repeated';
COMMENT ON COLUMN steps.activity_id IS 'Id of the step, over attempts and restarts';
COMMENT ON COLUMN steps.cell_activity_id IS 'Execution of the cell that called it first; empty in a workflow';
COMMENT ON COLUMN steps.slot IS 'Slot of the cell that it belongs to; "workflow" in a workflow';
COMMENT ON COLUMN steps.cell_id IS 'The notebook format''s id of that cell, where known';
COMMENT ON COLUMN steps.workflow IS 'What called it: "notebook", or the name of the workflow function';
COMMENT ON COLUMN steps.notebook IS 'Absolute path of the notebook';
