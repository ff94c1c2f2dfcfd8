-- The events themselves, and what they cost.

CREATE OR REPLACE VIEW events AS
SELECT
    e.run_id,
    e.generation,
    e.position,
    make_timestamptz(e.at_ns // 1000) AS time,
    e.type,
    e.activity_id,
    coalesce(
        CASE
            WHEN e.detail IS NOT NULL AND e.view IS NOT NULL
                THEN json_merge_patch(e.detail, json_object('view', e.view))
            ELSE e.detail
        END,
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
    coalesce(c.cell_index, k.cell_index) AS cell_index,
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
LEFT JOIN store.caller k ON k.run_id = u.run_id
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
