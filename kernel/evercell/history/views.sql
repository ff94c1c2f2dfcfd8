-- What people query: runs, cells, steps, attempts, events, usage. These names and columns are a
-- stable interface; the tables behind them, in the schema `store`, are not.
--
-- Every status is computed here, from events:
--   an activity with an end event     has that event's status;
--   one without, in a live attachment is running;
--   one without, otherwise            is in doubt: its process died, let go of the run, or was
--                                     followed by a later one. Nobody knows how far it came.
-- An attachment is live while it is its run's latest, was not detached, and its writer's process
-- lived when the journals were last folded.

CREATE OR REPLACE VIEW store.attachment AS
SELECT
    a.run_id,
    a.generation,
    a.writer,
    a.seq,
    a.at_ns,
    a.detail,
    a.generation = max(a.generation) OVER (PARTITION BY a.run_id)
        AND w.alive
        AND NOT EXISTS (
            FROM store.event d
            WHERE d.type = 'RunDetached' AND d.run_id = a.run_id AND d.generation = a.generation
        ) AS live
FROM store.event a
JOIN store.writer w USING (writer)
WHERE a.type = 'RunAttached';

CREATE OR REPLACE VIEW runs AS
WITH attached AS (
    SELECT
        run_id,
        max(generation) AS generation,
        bool_or(live) AS live,
        max(seq) AS seq,
        arg_max(detail, seq) AS detail,
        arg_max(detail->>'$.notebook', seq) AS notebook
    FROM store.attachment
    GROUP BY run_id
),
finished AS (
    SELECT run_id, arg_max(detail->>'$.status', seq) AS status, max(seq) AS seq
    FROM store.event
    WHERE type = 'RunFinished'
    GROUP BY run_id
),
activity AS (
    SELECT
        run_id,
        max(at_ns) AS last_ns,
        count(*) FILTER (WHERE type IN ('CellStarted', 'CellRestored')) AS cells,
        count(*) FILTER (WHERE type = 'StepStarted') AS steps
    FROM store.event
    GROUP BY run_id
)
SELECT
    r.run_id,
    r.detail->>'$.workflow' AS workflow,
    coalesce(a.notebook, r.detail->>'$.notebook') AS notebook,
    r.detail->'$.parameters' AS parameters,
    CASE
        WHEN f.seq > coalesce(a.seq, 0) THEN f.status
        WHEN a.live THEN 'running'
        ELSE 'stopped'
    END AS status,
    make_timestamptz(r.at_ns // 1000) AS started_at,
    make_timestamptz(v.last_ns // 1000) AS last_activity,
    coalesce(a.generation, 0) AS generation,
    v.cells,
    v.steps,
    a.detail->>'$.kernel_id' AS kernel_id,
    CAST(a.detail->>'$.pid' AS BIGINT) AS pid,
    a.detail->>'$.host' AS host,
    r.detail->>'$.python' AS python,
    r.detail->>'$.evercell' AS evercell
FROM store.event r
JOIN activity v USING (run_id)
LEFT JOIN attached a USING (run_id)
LEFT JOIN finished f USING (run_id)
WHERE r.type = 'RunStarted'
ORDER BY r.at_ns;

COMMENT ON VIEW runs IS 'One row for each run of a notebook or workflow';
COMMENT ON COLUMN runs.run_id IS 'Id of the run';
COMMENT ON COLUMN runs.workflow IS '"notebook", or the name of the workflow function';
COMMENT ON COLUMN runs.notebook IS 'Absolute path of the notebook, where it was last seen';
COMMENT ON COLUMN runs.parameters IS 'Parameters of the run, a JSON object';
COMMENT ON COLUMN runs.status IS 'running (a live kernel is attached), stopped (none is, and the run did not finish), completed, failed or canceled';
COMMENT ON COLUMN runs.started_at IS 'When the run began';
COMMENT ON COLUMN runs.last_activity IS 'Time of the latest event';
COMMENT ON COLUMN runs.generation IS 'How many kernel processes have attached to the run so far';
COMMENT ON COLUMN runs.cells IS 'How many times a cell was executed or restored';
COMMENT ON COLUMN runs.steps IS 'How many different steps were called';
COMMENT ON COLUMN runs.kernel_id IS 'Jupyter''s id of the kernel that attached last';
COMMENT ON COLUMN runs.pid IS 'Process id of the kernel that attached last';
COMMENT ON COLUMN runs.host IS 'Machine of the kernel that attached last';
COMMENT ON COLUMN runs.python IS 'Python that the run began with; recorded values depend on it';
COMMENT ON COLUMN runs.evercell IS 'Evercell release that the run began with';

CREATE OR REPLACE VIEW cells AS
WITH ended AS (
    SELECT run_id, activity_id, type, detail
    FROM store.event
    WHERE type IN ('CellCompleted', 'CellFailed')
)
SELECT
    b.run_id,
    r.notebook,
    CAST(b.detail->>'$.cell_index' AS INTEGER) AS cell_index,
    b.detail->>'$.cell_id' AS cell_id,
    b.slot,
    b.detail->>'$.source' AS source,
    CASE
        WHEN b.type = 'CellRestored' OR e.type = 'CellCompleted' THEN 'completed'
        WHEN e.type = 'CellFailed' AND (e.detail->>'$.interrupted') = 'true' THEN 'interrupted'
        WHEN e.type = 'CellFailed' THEN 'failed'
        WHEN a.live THEN 'running'
        ELSE 'in doubt'
    END AS status,
    CASE WHEN b.type = 'CellRestored' THEN 'restored' ELSE b.detail->>'$.decision' END AS decision,
    b.detail->>'$.reason' AS reason,
    make_timestamptz(b.at_ns // 1000) AS started_at,
    to_microseconds(
        CAST(coalesce(e.detail->>'$.duration', b.detail->>'$.duration') AS BIGINT) // 1000
    ) AS duration,
    to_microseconds(CAST(b.detail->>'$.saved' AS BIGINT) // 1000) AS saved,
    (e.detail->>'$.error.type') || ': ' || (e.detail->>'$.error.message') AS error,
    e.detail->>'$.error.traceback' AS traceback,
    CAST(b.detail->>'$.execution_count' AS INTEGER) AS execution_count,
    CAST(e.detail->>'$.restorable' AS BOOLEAN) AS restorable,
    b.activity_id,
    b.detail->>'$.origin' AS origin,
    b.generation
FROM store.event b
LEFT JOIN ended e ON e.run_id = b.run_id AND e.activity_id = b.activity_id
LEFT JOIN store.attachment a ON a.run_id = b.run_id AND a.generation = b.generation
LEFT JOIN runs r ON r.run_id = b.run_id
WHERE b.type IN ('CellStarted', 'CellRestored')
ORDER BY r.started_at, b.run_id, b.seq;

COMMENT ON VIEW cells IS 'One row for each time that a cell was executed or restored, in order';
COMMENT ON COLUMN cells.run_id IS 'Run that the cell belongs to';
COMMENT ON COLUMN cells.notebook IS 'Absolute path of the notebook';
COMMENT ON COLUMN cells.cell_index IS 'Place of the cell in the notebook, from 0, where known';
COMMENT ON COLUMN cells.cell_id IS 'The notebook format''s id of the cell, where the frontend sends it';
COMMENT ON COLUMN cells.slot IS 'The cell''s place in the run over edits; steps belong to it';
COMMENT ON COLUMN cells.source IS 'Source code as it was executed';
COMMENT ON COLUMN cells.status IS 'running, completed, failed, interrupted, or in doubt (started, and its process ended before the cell did)';
COMMENT ON COLUMN cells.decision IS 'executed, restored (recorded effects given back without running), recomputed (its product can''t be stored) or volatile (never recorded)';
COMMENT ON COLUMN cells.reason IS 'Why the cell was executed or restored';
COMMENT ON COLUMN cells.started_at IS 'When executing or restoring began';
COMMENT ON COLUMN cells.duration IS 'How long executing or restoring took';
COMMENT ON COLUMN cells.saved IS 'How long the recorded execution had taken that was not run again; only where restored';
COMMENT ON COLUMN cells.error IS 'Type and message of the exception, if it failed';
COMMENT ON COLUMN cells.traceback IS 'The exception''s traceback, if it failed';
COMMENT ON COLUMN cells.execution_count IS 'The number in brackets beside the cell';
COMMENT ON COLUMN cells.restorable IS 'Whether this execution can be restored later';
COMMENT ON COLUMN cells.activity_id IS 'Id of this execution or restore';
COMMENT ON COLUMN cells.origin IS 'activity_id of the execution that was restored';
COMMENT ON COLUMN cells.generation IS 'Which of the run''s kernel processes did it, from 1';

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
COMMENT ON COLUMN attempts.cell_activity_id IS 'Execution of the cell that made the attempt';
COMMENT ON COLUMN attempts.generation IS 'Which of the run''s kernel processes made it, from 1';

CREATE OR REPLACE VIEW steps AS
WITH latest AS (
    SELECT
        run_id,
        activity_id,
        max(seq) AS seq,
        max(attempt) AS attempts
    FROM store.event
    WHERE type IN (
        'StepStarted', 'AttemptStarted', 'AttemptFailed', 'StepCompleted', 'StepFailed',
        'StepCanceled'
    )
    GROUP BY run_id, activity_id
),
answered AS (
    SELECT run_id, activity_id, count(*) AS restored
    FROM (SELECT run_id, unnest(answered) AS activity_id
          FROM store.event WHERE type = 'StepsAnswered')
    GROUP BY run_id, activity_id
),
tried AS (
    SELECT run_id, activity_id, to_microseconds(CAST(sum(epoch_us(duration)) AS BIGINT)) AS duration
    FROM attempts
    GROUP BY run_id, activity_id
),
cell AS (
    SELECT run_id, activity_id, CAST(detail->>'$.cell_index' AS INTEGER) AS cell_index,
        detail->>'$.cell_id' AS cell_id
    FROM store.event WHERE type = 'CellStarted'
)
SELECT
    s.run_id,
    c.cell_index,
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
    t.duration,
    e.error_type || ': ' || e.error_message AS error,
    e.reason,
    CASE WHEN e.type = 'StepCompleted' THEN e.payload_size END AS result_size,
    CASE WHEN e.type = 'StepCompleted' THEN e.codec END AS result_codec,
    s.at_most_once,
    s.activity_id,
    s.cell AS cell_activity_id,
    s.slot,
    c.cell_id,
    r.notebook
FROM store.event s
JOIN latest l ON l.run_id = s.run_id AND l.activity_id = s.activity_id
JOIN store.event e ON e.run_id = s.run_id AND e.activity_id = s.activity_id AND e.seq = l.seq
LEFT JOIN answered w ON w.run_id = s.run_id AND w.activity_id = s.activity_id
LEFT JOIN tried t ON t.run_id = s.run_id AND t.activity_id = s.activity_id
LEFT JOIN cell c ON c.run_id = s.run_id AND c.activity_id = s.cell
LEFT JOIN store.attachment a ON a.run_id = e.run_id AND a.generation = e.generation
LEFT JOIN runs r ON r.run_id = s.run_id
WHERE s.type = 'StepStarted'
ORDER BY r.started_at, s.run_id, s.seq;

COMMENT ON VIEW steps IS 'One row for each recorded step (a durable function call), in order of the first call';
COMMENT ON COLUMN steps.run_id IS 'Run that the step belongs to';
COMMENT ON COLUMN steps.cell_index IS 'Place in the notebook of the cell that called it first, from 0';
COMMENT ON COLUMN steps.name IS 'Name of the step''s function';
COMMENT ON COLUMN steps.ordinal IS 'Number among identical calls in the cell, from 0';
COMMENT ON COLUMN steps.status IS 'running, completed, failed, canceled, retrying (an attempt failed and another follows), or in doubt (an attempt began, and its process ended before it did)';
COMMENT ON COLUMN steps.attempts IS 'How many attempts were made';
COMMENT ON COLUMN steps.restored IS 'How often the history answered the call instead of running it';
COMMENT ON COLUMN steps.arguments IS 'Arguments by parameter name, a JSON object';
COMMENT ON COLUMN steps.result IS 'Result as JSON: result->>''answer'' reads a field. Null if it did not complete, or is too large to show here (see result_size)';
COMMENT ON COLUMN steps.started_at IS 'When it was called first';
COMMENT ON COLUMN steps.duration IS 'Sum of its attempts'' durations';
COMMENT ON COLUMN steps.error IS 'Type and message of the latest exception, unless it completed';
COMMENT ON COLUMN steps.reason IS 'Why it failed for good or was canceled';
COMMENT ON COLUMN steps.result_size IS 'Bytes of the stored result';
COMMENT ON COLUMN steps.result_codec IS 'How the result is stored: json or pickle';
COMMENT ON COLUMN steps.at_most_once IS 'Whether an attempt in doubt is never repeated';
COMMENT ON COLUMN steps.activity_id IS 'Id of the step, over attempts and restarts';
COMMENT ON COLUMN steps.cell_activity_id IS 'Execution of the cell that called it first';
COMMENT ON COLUMN steps.slot IS 'Slot of the cell that it belongs to';
COMMENT ON COLUMN steps.cell_id IS 'The notebook format''s id of that cell, where known';
COMMENT ON COLUMN steps.notebook IS 'Absolute path of the notebook';

CREATE OR REPLACE VIEW events AS
SELECT
    e.run_id,
    e.generation,
    e.position,
    make_timestamptz(e.at_ns // 1000) AS time,
    e.type,
    e.activity_id,
    coalesce(
        e.detail,
        json_merge_patch('{}', json_object(
            'cell', e.cell,
            'slot', e.slot,
            'name', e.name,
            'key', lower(hex(e.key)),
            'ordinal', e.ordinal,
            'arguments', TRY_CAST(e.arguments AS JSON),
            'at_most_once', e.at_most_once,
            'attempt', e.attempt,
            'duration', e.duration_ns,
            'reason', e.reason,
            'retry_delay', e.retry_delay_ns,
            'error', CASE WHEN e.error_type IS NOT NULL THEN json_object(
                'type', e.error_type, 'message', e.error_message, 'traceback', e.error_traceback
            ) END,
            'payload', CASE WHEN e.codec IS NOT NULL THEN json_object(
                'id', lower(hex(e.payload_id)), 'codec', e.codec, 'size', e.payload_size
            ) END,
            'activity_ids', to_json(e.answered)
        ))
    ) AS detail,
    e.writer
FROM store.event e
ORDER BY e.run_id, e.seq;

COMMENT ON VIEW events IS 'The event history itself, in order';
COMMENT ON COLUMN events.run_id IS 'Run that the event belongs to';
COMMENT ON COLUMN events.generation IS 'Which of the run''s kernel processes recorded it, from 1';
COMMENT ON COLUMN events.position IS 'Place in that process''s journal, from 1';
COMMENT ON COLUMN events.time IS 'Wall clock when it happened; the order is (generation, position)';
COMMENT ON COLUMN events.type IS 'What happened: RunStarted, CellCompleted, StepStarted, ...';
COMMENT ON COLUMN events.activity_id IS 'The cell execution or step that it is about';
COMMENT ON COLUMN events.detail IS 'Everything else that the event says, a JSON object; durations in nanoseconds';
COMMENT ON COLUMN events.writer IS 'Id of the journal that it came from';

CREATE OR REPLACE VIEW usage AS
WITH step AS (
    SELECT run_id, activity_id, name, cell FROM store.event WHERE type = 'StepStarted'
),
cell AS (
    SELECT run_id, activity_id, CAST(detail->>'$.cell_index' AS INTEGER) AS cell_index
    FROM store.event WHERE type = 'CellStarted'
)
SELECT
    u.run_id,
    c.cell_index,
    s.name AS step,
    u.activity_id,
    u.attempt,
    u.detail->>'$.model' AS model,
    CAST(u.detail->>'$.input_tokens' AS BIGINT) AS input_tokens,
    CAST(u.detail->>'$.output_tokens' AS BIGINT) AS output_tokens,
    CAST(u.detail->>'$.cost' AS DOUBLE) AS cost,
    make_timestamptz(u.at_ns // 1000) AS time
FROM store.event u
LEFT JOIN step s ON s.run_id = u.run_id AND s.activity_id = u.activity_id
LEFT JOIN cell c ON c.run_id = u.run_id AND c.activity_id = coalesce(s.cell, u.activity_id)
WHERE u.type = 'UsageRecorded'
ORDER BY u.run_id, u.seq;

COMMENT ON VIEW usage IS 'Tokens and money that attempts used, one row each time it was recorded';
COMMENT ON COLUMN usage.run_id IS 'Run that used it';
COMMENT ON COLUMN usage.cell_index IS 'Place of the cell in the notebook, from 0';
COMMENT ON COLUMN usage.step IS 'Name of the step''s function; null where a cell used it directly';
COMMENT ON COLUMN usage.activity_id IS 'The step, or the cell execution';
COMMENT ON COLUMN usage.attempt IS 'Number of the attempt that used it';
COMMENT ON COLUMN usage.model IS 'Name of the model';
COMMENT ON COLUMN usage.input_tokens IS 'Tokens sent';
COMMENT ON COLUMN usage.output_tokens IS 'Tokens received';
COMMENT ON COLUMN usage.cost IS 'Cost in the currency of the price table';
COMMENT ON COLUMN usage.time IS 'When it was recorded';
