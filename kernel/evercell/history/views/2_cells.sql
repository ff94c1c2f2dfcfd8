-- Executions of cells and what they showed.

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
LEFT JOIN store.named r ON r.run_id = b.run_id
WHERE b.type IN ('CellStarted', 'CellRestored')
ORDER BY r.at_ns, b.run_id, b.seq;

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

CREATE OR REPLACE VIEW outputs AS
SELECT
    o.run_id,
    r.notebook,
    CAST(b.detail->>'$.cell_index' AS INTEGER) AS cell_index,
    b.detail->>'$.cell_id' AS cell_id,
    o.ordinal,
    o.kind,
    o.name,
    o.mime,
    o.text,
    TRY_CAST(o.data AS JSON) AS data,
    o.size,
    o.activity_id,
    lower(hex(o.payload_id)) AS payload_id
FROM store.output o
LEFT JOIN store.event b
    ON b.type = 'CellStarted' AND b.run_id = o.run_id AND b.activity_id = o.activity_id
LEFT JOIN store.named r ON r.run_id = o.run_id
ORDER BY r.at_ns, o.run_id, b.seq, o.ordinal;

COMMENT ON VIEW outputs IS 'One row for each message that an executed cell showed, in order; a restored cell shows those of its origin';
COMMENT ON COLUMN outputs.run_id IS 'Run that the cell belongs to';
COMMENT ON COLUMN outputs.notebook IS 'Absolute path of the notebook';
COMMENT ON COLUMN outputs.cell_index IS 'Place of the cell in the notebook, from 0, where known';
COMMENT ON COLUMN outputs.cell_id IS 'The notebook format''s id of the cell, where the frontend sends it';
COMMENT ON COLUMN outputs.ordinal IS 'Number of the message in the cell''s outputs, from 0';
COMMENT ON COLUMN outputs.kind IS 'stream, display_data, update_display_data, execute_result, error or clear_output. Null: all that the cell showed, which can''t be read in SQL (encrypted, missing, another user''s, or over 16 MiB)';
COMMENT ON COLUMN outputs.name IS 'stdout or stderr of a stream; the exception''s type of an error';
COMMENT ON COLUMN outputs.mime IS 'Richest MIME type of the message: image/png, text/html, ...';
COMMENT ON COLUMN outputs.text IS 'The message as text: Markdown or plain text, a traceback without colours. Null if it has none, or one over 64 KiB (see payload_id)';
COMMENT ON COLUMN outputs.data IS 'Its texts by MIME type, a JSON object, where there are others than the plain one: data->>''text/html''';
COMMENT ON COLUMN outputs.size IS 'Bytes of the message, pictures included';
COMMENT ON COLUMN outputs.activity_id IS 'Execution of the cell';
COMMENT ON COLUMN outputs.payload_id IS 'Payload id of all that the cell showed: evercell.load(payload_id) gives the messages';
