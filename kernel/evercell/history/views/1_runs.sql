-- What people query: runs, cells, outputs, attempts, steps, timers, signals, updates, approvals,
-- schedules, events, usage. These names and columns are a stable interface; the tables behind them,
-- in the schema `store`, are not.
--
-- Every status is computed here, from events:
--   an activity with an end event     has that event's status;
--   one without, in a live attachment is running;
--   one without, otherwise            is in doubt: its process died, let go of the run, or was
--                                     followed by a later one. Nobody knows how far it came.
-- An attachment is live while it is its run's latest, was not detached, and its writer's process
-- lived when the journals were last folded. A workflow's run is carried by a notebook's run: it ends
-- with that one's attachment of the same generation, and shares it unless it has one of its own.

CREATE OR REPLACE VIEW store.attachment AS
WITH detached AS (
    SELECT run_id, generation FROM store.event WHERE type = 'RunDetached'
),
own AS (
    SELECT
        a.run_id,
        a.generation,
        a.writer,
        a.seq,
        a.at_ns,
        a.detail,
        a.generation = max(a.generation) OVER (PARTITION BY a.run_id)
            AND w.alive
            AND (a.run_id, a.generation) NOT IN (FROM detached)
            AND (coalesce(r.host_run, ''), a.generation) NOT IN (FROM detached) AS live
    FROM store.event a
    JOIN store.writer w ON w.writer = a.writer
    LEFT JOIN store.event r ON r.type = 'RunStarted' AND r.run_id = a.run_id
    WHERE a.type = 'RunAttached'
)
FROM own
UNION ALL
SELECT r.run_id, a.generation, a.writer, a.seq, a.at_ns, a.detail, a.live
FROM store.event r
JOIN own a ON a.run_id = r.host_run AND a.generation >= r.generation
WHERE r.type = 'RunStarted' AND r.run_id NOT IN (SELECT run_id FROM own);

-- What a run is called: all that most views need of it, for a fraction of what `runs` takes.
CREATE OR REPLACE VIEW store.named AS
SELECT
    r.run_id,
    any_value(r.at_ns) AS at_ns,
    any_value(r.detail->>'$.workflow') AS workflow,
    coalesce(
        arg_max(a.detail->>'$.notebook', a.seq), any_value(r.detail->>'$.notebook')
    ) AS notebook
FROM store.event r
LEFT JOIN store.attachment a ON a.run_id = r.run_id
WHERE r.type = 'RunStarted'
GROUP BY r.run_id;

-- The cell in which a workflow's run was started by a recorded call.
CREATE OR REPLACE VIEW store.caller AS
SELECT
    r.run_id,
    CAST(c.detail->>'$.cell_index' AS INTEGER) AS cell_index,
    c.detail->>'$.cell_id' AS cell_id
FROM store.event r
LEFT JOIN store.event s
    ON s.type = 'StepStarted' AND s.run_id = r.host_run
    AND s.activity_id = r.detail->>'$.start.caller'
JOIN store.event c
    ON c.type = 'CellStarted' AND c.run_id = r.host_run
    AND c.activity_id = coalesce(s.cell, r.detail->>'$.start.caller')
WHERE r.type = 'RunStarted' AND r.host_run IS NOT NULL;

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
    SELECT run_id, seq, at_ns, view, detail
    FROM store.event
    WHERE type = 'RunFinished'
    QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY seq DESC) = 1
),
blocked AS (  -- and nothing that the run's code does came after it
    SELECT b.run_id, arg_max(b.detail, b.seq) AS detail
    FROM store.event b
    WHERE b.type = 'RunBlocked' AND NOT EXISTS (
        FROM store.event e
        WHERE e.run_id = b.run_id AND e.seq > b.seq AND e.type NOT IN (
            'RunBlocked', 'RunAttached', 'RunDetached', 'SignalReceived', 'UpdateAccepted',
            'CancelRequested'
        )
    )
    GROUP BY b.run_id
),
described AS (
    SELECT
        run_id, seq, detail->>'$.start.search_attributes' AS attributes,
        detail->>'$.start.memo' AS memo
    FROM store.event
    WHERE type = 'RunStarted' AND host_run IS NOT NULL
    UNION ALL
    SELECT run_id, seq, detail->>'$.search_attributes', detail->>'$.memo'
    FROM store.event
    WHERE type = 'AttributesSet'
),
attributes AS (
    SELECT
        run_id,
        list_reduce(
            list(TRY_CAST(attributes AS JSON) ORDER BY seq) FILTER (attributes IS NOT NULL),
            lambda one, other: json_merge_patch(one, other)
        ) AS attributes,
        list_reduce(
            list(TRY_CAST(memo AS JSON) ORDER BY seq) FILTER (memo IS NOT NULL),
            lambda one, other: json_merge_patch(one, other)
        ) AS memo
    FROM described
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
),
-- A kernel that attaches opens a notebook's run again; a workflow's is closed for good.
known AS (
    SELECT r.*, f.seq > coalesce(a.seq, 0) OR (f.seq IS NOT NULL AND r.host_run IS NOT NULL) AS done
    FROM store.event r
    LEFT JOIN finished f USING (run_id)
    LEFT JOIN attached a USING (run_id)
    WHERE r.type = 'RunStarted'
)
SELECT
    r.run_id,
    r.detail->>'$.workflow' AS workflow,
    r.detail->>'$.start.workflow_id' AS workflow_id,
    coalesce(a.notebook, r.detail->>'$.notebook') AS notebook,
    r.detail->'$.parameters' AS parameters,
    CASE
        WHEN r.done THEN f.detail->>'$.status'
        WHEN b.run_id IS NOT NULL THEN 'blocked'
        WHEN a.live THEN 'running'
        ELSE 'stopped'
    END AS status,
    CASE WHEN r.done THEN TRY_CAST(f.view AS JSON) END AS result,
    CASE
        WHEN r.done THEN (f.detail->>'$.error.type') || ': ' || (f.detail->>'$.error.message')
        ELSE (b.detail->>'$.error.type') || ': ' || (b.detail->>'$.error.message')
    END AS error,
    CASE WHEN r.done THEN f.detail->>'$.reason' END AS reason,
    make_timestamptz(r.at_ns // 1000) AS started_at,
    make_timestamptz(v.last_ns // 1000) AS last_activity,
    CASE WHEN r.done THEN make_timestamptz(f.at_ns // 1000) END AS finished_at,
    make_timestamptz(CAST(r.detail->>'$.start.deadline' AS BIGINT) // 1000) AS deadline,
    coalesce(a.generation, 0) AS generation,
    v.cells,
    v.steps,
    r.host_run AS notebook_run,
    r.detail->>'$.start.parent' AS parent,
    r.detail->>'$.start.schedule' AS schedule_id,
    r.detail->>'$.start.first' AS first_run,
    r.detail->>'$.start.continued_from' AS continued_from,
    f.detail->>'$.next_run' AS next_run,
    coalesce(r.detail->>'$.start.forked_from', r.detail->>'$.forked_from') AS forked_from,
    CAST(r.detail->>'$.start.forked_at' AS BIGINT) AS forked_at,
    CAST(
        coalesce(r.detail->'$.start.overrides', r.detail->'$.overrides') AS VARCHAR[]
    ) AS overrides,
    t.memo,
    t.attributes AS search_attributes,
    r.detail->>'$.start.input.id' AS input_id,
    CASE WHEN r.done THEN f.detail->>'$.result.id' END AS result_id,
    a.detail->>'$.kernel_id' AS kernel_id,
    CAST(a.detail->>'$.pid' AS BIGINT) AS pid,
    a.detail->>'$.host' AS host,
    r.detail->>'$.python' AS python,
    r.detail->>'$.evercell' AS evercell
FROM known r
JOIN activity v USING (run_id)
LEFT JOIN attached a USING (run_id)
LEFT JOIN finished f USING (run_id)
LEFT JOIN blocked b USING (run_id)
LEFT JOIN attributes t USING (run_id)
ORDER BY r.at_ns;

COMMENT ON VIEW runs IS 'One row for each run of a notebook or of a workflow function';
COMMENT ON COLUMN runs.run_id IS 'Id of the run';
COMMENT ON COLUMN runs.workflow IS '"notebook", or the name of the workflow function';
COMMENT ON COLUMN runs.workflow_id IS 'The id that a workflow''s run was started under; null for a notebook''s';
COMMENT ON COLUMN runs.notebook IS 'Absolute path of the notebook, where it was last seen';
COMMENT ON COLUMN runs.parameters IS 'Parameters of a notebook''s run, arguments of a workflow''s: a JSON object';
COMMENT ON COLUMN runs.status IS 'running (a live kernel carries it), stopped (none does, and it did not finish), blocked (its code does not fit its history: see error), completed, failed, canceled, terminated, timed out, or continued as new';
COMMENT ON COLUMN runs.result IS 'What a workflow returned, as JSON: result->>''answer'' reads a field';
COMMENT ON COLUMN runs.error IS 'Type and message of the exception that ended a workflow, or that blocks it';
COMMENT ON COLUMN runs.reason IS 'Why it was canceled, terminated or the like';
COMMENT ON COLUMN runs.started_at IS 'When the run began';
COMMENT ON COLUMN runs.last_activity IS 'Time of the latest event';
COMMENT ON COLUMN runs.finished_at IS 'When it came to its end, if it did';
COMMENT ON COLUMN runs.deadline IS 'When a workflow times out, if it has an execution_timeout';
COMMENT ON COLUMN runs.generation IS 'How many kernel processes have carried the run so far';
COMMENT ON COLUMN runs.cells IS 'How many times a cell was executed or restored';
COMMENT ON COLUMN runs.steps IS 'How many different steps were called';
COMMENT ON COLUMN runs.notebook_run IS 'run_id of the notebook''s run whose kernel carries a workflow''s run';
COMMENT ON COLUMN runs.parent IS 'run_id of the workflow that started this one as its child';
COMMENT ON COLUMN runs.schedule_id IS 'Schedule that started it';
COMMENT ON COLUMN runs.first_run IS 'run_id of the first run of the chain, where it continues one';
COMMENT ON COLUMN runs.continued_from IS 'run_id before it in the chain';
COMMENT ON COLUMN runs.next_run IS 'run_id that goes on, where it continued as new';
COMMENT ON COLUMN runs.forked_from IS 'run_id whose history it shares';
COMMENT ON COLUMN runs.forked_at IS 'How many of that run''s events a workflow''s fork shares';
COMMENT ON COLUMN runs.overrides IS 'activity_ids of the steps there that have another result here';
COMMENT ON COLUMN runs.memo IS 'Memo of a workflow''s run as it is now, a JSON object';
COMMENT ON COLUMN runs.search_attributes IS 'Search attributes of a workflow''s run as they are now, a JSON object';
COMMENT ON COLUMN runs.input_id IS 'Payload id of a workflow''s arguments, for evercell.load';
COMMENT ON COLUMN runs.result_id IS 'Payload id of a workflow''s result, for evercell.load';
COMMENT ON COLUMN runs.kernel_id IS 'Jupyter''s id of the kernel that attached last';
COMMENT ON COLUMN runs.pid IS 'Process id of the kernel that attached last';
COMMENT ON COLUMN runs.host IS 'Machine of the kernel that attached last';
COMMENT ON COLUMN runs.python IS 'Python that the run began with; recorded values depend on it';
COMMENT ON COLUMN runs.evercell IS 'Evercell release that the run began with';
