-- What runs wait for, and what reaches them: timers, signals, updates, approvals, schedules.

-- A cell that goes on after a restart says once more what it waits for: its latest word counts.
CREATE OR REPLACE VIEW timers AS
WITH begun AS (
    SELECT *, min(at_ns) OVER (PARTITION BY run_id, activity_id) AS first_ns
    FROM store.event
    WHERE type = 'TimerStarted'
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id ORDER BY seq DESC) = 1
),
ended AS (
    SELECT run_id, activity_id, type, at_ns, seq
    FROM store.event
    WHERE type IN ('TimerFired', 'TimerCanceled')
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id ORDER BY seq DESC) = 1
)
SELECT
    t.run_id,
    coalesce(CAST(c.detail->>'$.cell_index' AS INTEGER), k.cell_index) AS cell_index,
    t.detail->>'$.name' AS name,
    CASE
        WHEN e.type = 'TimerFired' THEN 'fired'
        WHEN e.type = 'TimerCanceled' OR r.finished_at IS NOT NULL THEN 'canceled'
        ELSE 'waiting'
    END AS status,
    make_timestamptz(t.first_ns // 1000) AS started_at,
    make_timestamptz(CAST(t.detail->>'$.fire_at' AS BIGINT) // 1000) AS fires_at,
    make_timestamptz(e.at_ns // 1000) AS ended_at,
    t.activity_id,
    t.detail->>'$.cell' AS cell_activity_id,
    t.slot,
    r.workflow,
    r.notebook
FROM begun t
LEFT JOIN ended e
    ON e.run_id = t.run_id AND e.activity_id = t.activity_id AND e.seq > t.seq
LEFT JOIN store.event c
    ON c.type = 'CellStarted' AND c.run_id = t.run_id AND c.activity_id = t.detail->>'$.cell'
LEFT JOIN store.caller k ON k.run_id = t.run_id
LEFT JOIN runs r ON r.run_id = t.run_id
ORDER BY r.started_at, t.run_id, t.first_ns, t.seq;

COMMENT ON VIEW timers IS 'One row for each durable timer of a workflow or a cell, in the order in which they were started';
COMMENT ON COLUMN timers.run_id IS 'Run that waits';
COMMENT ON COLUMN timers.cell_index IS 'Place in the notebook of the cell that waits, or that started the workflow, from 0';
COMMENT ON COLUMN timers.name IS 'sleep, timeout, or what its author called it';
COMMENT ON COLUMN timers.status IS 'waiting, fired or canceled';
COMMENT ON COLUMN timers.started_at IS 'When the wait began';
COMMENT ON COLUMN timers.fires_at IS 'When it fires, whether or not a process lives until then';
COMMENT ON COLUMN timers.ended_at IS 'When it fired or was canceled';
COMMENT ON COLUMN timers.activity_id IS 'Id of the timer';
COMMENT ON COLUMN timers.cell_activity_id IS 'Execution of the cell that waits; empty in a workflow';
COMMENT ON COLUMN timers.slot IS 'Slot of that cell; "workflow" in a workflow';
COMMENT ON COLUMN timers.workflow IS 'What waits: "notebook", or the name of the workflow function';
COMMENT ON COLUMN timers.notebook IS 'Absolute path of the notebook';

CREATE OR REPLACE VIEW signals AS
SELECT
    s.run_id,
    r.workflow,
    r.workflow_id,
    s.detail->>'$.name' AS name,
    TRY_CAST(s.view AS JSON) AS arguments,
    s.detail->>'$.sender' AS sender,
    make_timestamptz(s.at_ns // 1000) AS received_at,
    s.detail->>'$.signal_id' AS signal_id,
    s.detail->>'$.payload.id' AS payload_id,
    r.notebook
FROM store.event s
LEFT JOIN runs r ON r.run_id = s.run_id
WHERE s.type = 'SignalReceived'
ORDER BY r.started_at, s.run_id, s.seq;

COMMENT ON VIEW signals IS 'One row for each signal that a run received, in order';
COMMENT ON COLUMN signals.run_id IS 'Run that received it';
COMMENT ON COLUMN signals.workflow IS 'Name of its workflow function, or "notebook"';
COMMENT ON COLUMN signals.workflow_id IS 'The id that the workflow was started under';
COMMENT ON COLUMN signals.name IS 'Name of the signal';
COMMENT ON COLUMN signals.arguments IS 'What was sent, as JSON';
COMMENT ON COLUMN signals.sender IS 'Who sent it: a user, or a run_id';
COMMENT ON COLUMN signals.received_at IS 'When it reached the run';
COMMENT ON COLUMN signals.signal_id IS 'Id of the message, by which a second delivery is known';
COMMENT ON COLUMN signals.payload_id IS 'Payload id of what was sent, for evercell.load';
COMMENT ON COLUMN signals.notebook IS 'Absolute path of the notebook';

CREATE OR REPLACE VIEW updates AS
WITH ended AS (
    SELECT run_id, detail->>'$.update_id' AS update_id, at_ns, view, detail
    FROM store.event
    WHERE type = 'UpdateCompleted'
    QUALIFY row_number() OVER (PARTITION BY run_id, detail->>'$.update_id' ORDER BY seq) = 1
)
SELECT
    u.run_id,
    r.workflow,
    r.workflow_id,
    u.detail->>'$.name' AS name,
    CASE
        WHEN e.detail->>'$.error.type' IS NOT NULL THEN 'failed'
        WHEN e.run_id IS NOT NULL THEN 'completed'
        WHEN r.finished_at IS NOT NULL THEN 'canceled'
        ELSE 'running'
    END AS status,
    TRY_CAST(u.view AS JSON) AS arguments,
    TRY_CAST(e.view AS JSON) AS result,
    (e.detail->>'$.error.type') || ': ' || (e.detail->>'$.error.message') AS error,
    make_timestamptz(u.at_ns // 1000) AS accepted_at,
    make_timestamptz(e.at_ns // 1000) AS completed_at,
    u.detail->>'$.update_id' AS update_id,
    u.detail->>'$.payload.id' AS payload_id,
    e.detail->>'$.result.id' AS result_id,
    r.notebook
FROM store.event u
LEFT JOIN ended e ON e.run_id = u.run_id AND e.update_id = u.detail->>'$.update_id'
LEFT JOIN runs r ON r.run_id = u.run_id
WHERE u.type = 'UpdateAccepted'
ORDER BY r.started_at, u.run_id, u.seq;

COMMENT ON VIEW updates IS 'One row for each update that passed its validator, in order';
COMMENT ON COLUMN updates.run_id IS 'Run that it is about';
COMMENT ON COLUMN updates.workflow IS 'Name of its workflow function';
COMMENT ON COLUMN updates.workflow_id IS 'The id that the workflow was started under';
COMMENT ON COLUMN updates.name IS 'Name of the update';
COMMENT ON COLUMN updates.status IS 'running, completed, failed, or canceled (its run ended before it did)';
COMMENT ON COLUMN updates.arguments IS 'What was sent, as JSON';
COMMENT ON COLUMN updates.result IS 'What its handler returned, as JSON';
COMMENT ON COLUMN updates.error IS 'Type and message of the exception, if it failed';
COMMENT ON COLUMN updates.accepted_at IS 'When its validator let it pass';
COMMENT ON COLUMN updates.completed_at IS 'When its handler returned or raised';
COMMENT ON COLUMN updates.update_id IS 'Id of the update';
COMMENT ON COLUMN updates.payload_id IS 'Payload id of what was sent, for evercell.load';
COMMENT ON COLUMN updates.result_id IS 'Payload id of its result, for evercell.load';
COMMENT ON COLUMN updates.notebook IS 'Absolute path of the notebook';

CREATE OR REPLACE VIEW approvals AS
WITH begun AS (
    SELECT *, min(at_ns) OVER (PARTITION BY run_id, activity_id) AS first_ns
    FROM store.event
    WHERE type = 'ApprovalRequested'
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id ORDER BY seq DESC) = 1
),
answered AS (
    SELECT run_id, activity_id, at_ns, seq, view, detail
    FROM store.event
    WHERE type = 'ApprovalAnswered'
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id ORDER BY seq DESC) = 1
),
given_up AS (
    SELECT run_id, activity_id, type, at_ns, seq
    FROM store.event
    WHERE type IN ('TimerFired', 'TimerCanceled', 'StepCanceled')
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id ORDER BY seq DESC) = 1
)
SELECT
    q.run_id,
    coalesce(CAST(c.detail->>'$.cell_index' AS INTEGER), k.cell_index) AS cell_index,
    q.detail->>'$.prompt' AS prompt,
    CASE
        WHEN a.detail->>'$.approved' = 'true' THEN 'approved'
        WHEN a.run_id IS NOT NULL THEN 'rejected'
        WHEN g.type = 'TimerFired' OR g.at_ns >= CAST(q.detail->>'$.expires_at' AS BIGINT)
            THEN 'expired'
        WHEN g.type IS NOT NULL OR r.finished_at IS NOT NULL THEN 'canceled'
        WHEN epoch_ns(now()) > CAST(q.detail->>'$.expires_at' AS BIGINT) THEN 'expired'
        ELSE 'pending'
    END AS status,
    TRY_CAST(a.view AS JSON) AS answer,
    a.detail->>'$.by' AS answered_by,
    make_timestamptz(q.first_ns // 1000) AS requested_at,
    make_timestamptz(a.at_ns // 1000) AS answered_at,
    make_timestamptz(CAST(q.detail->>'$.expires_at' AS BIGINT) // 1000) AS expires_at,
    TRY_CAST(q.detail->>'$.schema' AS JSON) AS schema,
    q.activity_id,
    q.detail->>'$.cell' AS cell_activity_id,
    q.slot,
    a.detail->>'$.payload.id' AS payload_id,
    r.workflow,
    r.notebook
FROM begun q
LEFT JOIN answered a
    ON a.run_id = q.run_id AND a.activity_id = q.activity_id AND a.seq > q.seq
LEFT JOIN given_up g
    ON g.run_id = q.run_id AND g.activity_id = q.activity_id AND g.seq > q.seq
LEFT JOIN store.event c
    ON c.type = 'CellStarted' AND c.run_id = q.run_id AND c.activity_id = q.detail->>'$.cell'
LEFT JOIN store.caller k ON k.run_id = q.run_id
LEFT JOIN runs r ON r.run_id = q.run_id
ORDER BY r.started_at, q.run_id, q.first_ns, q.seq;

COMMENT ON VIEW approvals IS 'One row for each question to a person, in order';
COMMENT ON COLUMN approvals.run_id IS 'Run that waits for the answer';
COMMENT ON COLUMN approvals.cell_index IS 'Place in the notebook of the cell that asks, or that started the workflow, from 0';
COMMENT ON COLUMN approvals.prompt IS 'The question';
COMMENT ON COLUMN approvals.status IS 'pending, approved, rejected, expired, or canceled (its run ended, its cell gave it up, or somebody canceled it)';
COMMENT ON COLUMN approvals.answer IS 'What was filled in, as JSON';
COMMENT ON COLUMN approvals.answered_by IS 'Who answered';
COMMENT ON COLUMN approvals.requested_at IS 'When it was asked';
COMMENT ON COLUMN approvals.answered_at IS 'When the answer came';
COMMENT ON COLUMN approvals.expires_at IS 'When nobody waits for an answer any more';
COMMENT ON COLUMN approvals.schema IS 'JSON schema of the answer; null for yes or no';
COMMENT ON COLUMN approvals.activity_id IS 'Id of the question';
COMMENT ON COLUMN approvals.cell_activity_id IS 'Execution of the cell that asks; empty in a workflow';
COMMENT ON COLUMN approvals.slot IS 'Slot of that cell; "workflow" in a workflow';
COMMENT ON COLUMN approvals.payload_id IS 'Payload id of the answer, for evercell.load';
COMMENT ON COLUMN approvals.workflow IS 'What asks: "notebook", or the name of the workflow function';
COMMENT ON COLUMN approvals.notebook IS 'Absolute path of the notebook';

CREATE OR REPLACE VIEW waits AS
WITH awaited AS (
    SELECT *, min(at_ns) OVER (PARTITION BY run_id, activity_id) AS first_ns
    FROM store.event
    WHERE type IN ('SignalAwaited', 'ConditionAwaited')
    QUALIFY row_number() OVER (PARTITION BY run_id, activity_id ORDER BY seq DESC) = 1
),
ended AS (
    SELECT run_id, activity_id, max(seq) AS seq
    FROM store.event
    WHERE type IN ('SignalTaken', 'TimerFired', 'TimerCanceled', 'WaitEnded')
    GROUP BY run_id, activity_id
)
SELECT run_id, cell_index, 'timer' AS kind, name, started_at AS since, fires_at AS until,
    NULL::JSON AS schema, activity_id, workflow, notebook
FROM timers WHERE status = 'waiting'
UNION ALL
SELECT run_id, cell_index, 'approval', prompt, requested_at, expires_at,
    schema, activity_id, workflow, notebook
FROM approvals WHERE status = 'pending'
UNION ALL
SELECT s.run_id,
    coalesce(CAST(c.detail->>'$.cell_index' AS INTEGER), k.cell_index),
    CASE s.type WHEN 'SignalAwaited' THEN 'signal' ELSE 'condition' END,
    s.detail->>'$.name',
    make_timestamptz(s.first_ns // 1000),
    make_timestamptz(CAST(s.detail->>'$.expires_at' AS BIGINT) // 1000),
    NULL,
    s.activity_id,
    r.workflow,
    r.notebook
FROM awaited s
LEFT JOIN ended e ON e.run_id = s.run_id AND e.activity_id = s.activity_id AND e.seq > s.seq
LEFT JOIN store.event c
    ON c.type = 'CellStarted' AND c.run_id = s.run_id AND c.activity_id = s.detail->>'$.cell'
LEFT JOIN store.caller k ON k.run_id = s.run_id
LEFT JOIN runs r ON r.run_id = s.run_id
WHERE e.seq IS NULL AND r.finished_at IS NULL
    AND coalesce(CAST(s.detail->>'$.expires_at' AS BIGINT) > epoch_ns(now()), true)
ORDER BY since, activity_id;

COMMENT ON VIEW waits IS 'One row for each thing that is waited for now, also while no process carries the run: timers, answers, signals, and in workflows conditions';
COMMENT ON COLUMN waits.run_id IS 'Run that waits';
COMMENT ON COLUMN waits.cell_index IS 'Place in the notebook of the cell that waits, or that started the workflow, from 0';
COMMENT ON COLUMN waits.kind IS 'timer, signal, approval or condition';
COMMENT ON COLUMN waits.name IS 'Name of the timer or the signal, the question, or where the condition is written';
COMMENT ON COLUMN waits.since IS 'When the wait began';
COMMENT ON COLUMN waits.until IS 'When it ends by itself: a timer fires, or the code gives up; null for never';
COMMENT ON COLUMN waits.schema IS 'JSON schema of an answer; null for yes or no';
COMMENT ON COLUMN waits.activity_id IS 'Id of the wait, to answer or, in a cell, to cancel it';
COMMENT ON COLUMN waits.workflow IS 'What waits: "notebook", or the name of the workflow function';
COMMENT ON COLUMN waits.notebook IS 'Absolute path of the notebook';

CREATE OR REPLACE VIEW schedules AS
WITH latest AS (
    FROM store.event
    WHERE type = 'ScheduleSet'
    QUALIFY row_number() OVER (
        PARTITION BY run_id, detail->>'$.schedule_id' ORDER BY seq DESC
    ) = 1
),
fired AS (
    SELECT
        run_id,
        detail->>'$.schedule_id' AS schedule_id,
        count(*) FILTER (detail->>'$.child' IS NOT NULL) AS started,
        count(*) FILTER (detail->>'$.reason' IS NOT NULL) AS skipped,
        max(CAST(detail->>'$.due' AS BIGINT)) AS due,
        arg_max(detail->>'$.child', seq) FILTER (detail->>'$.child' IS NOT NULL) AS child
    FROM store.event
    WHERE type = 'ScheduleFired'
    GROUP BY ALL
)
SELECT
    s.detail->>'$.schedule_id' AS schedule_id,
    s.detail->>'$.workflow' AS workflow,
    CASE
        WHEN s.detail->>'$.spec' IS NULL THEN 'deleted'
        WHEN s.detail->>'$.paused' = 'true' THEN 'paused'
        ELSE 'active'
    END AS status,
    TRY_CAST(s.detail->>'$.spec' AS JSON) AS spec,
    s.detail->>'$.note' AS note,
    make_timestamptz(s.at_ns // 1000) AS changed_at,
    coalesce(f.started, 0) AS started,
    coalesce(f.skipped, 0) AS skipped,
    make_timestamptz(f.due // 1000) AS last_due,
    f.child AS last_run,
    s.detail->>'$.input.id' AS input_id,
    s.run_id AS notebook_run,
    r.notebook
FROM latest s
LEFT JOIN fired f ON f.run_id = s.run_id AND f.schedule_id = s.detail->>'$.schedule_id'
LEFT JOIN runs r ON r.run_id = s.run_id
ORDER BY r.started_at, s.run_id, s.seq;

COMMENT ON VIEW schedules IS 'One row for each schedule, as it was set last';
COMMENT ON COLUMN schedules.schedule_id IS 'Id of the schedule';
COMMENT ON COLUMN schedules.workflow IS 'Name of the workflow function that it starts';
COMMENT ON COLUMN schedules.status IS 'active, paused or deleted';
COMMENT ON COLUMN schedules.spec IS 'When it fires, and what happens to overlaps and missed times: a JSON object';
COMMENT ON COLUMN schedules.note IS 'What was noted when it was set last';
COMMENT ON COLUMN schedules.changed_at IS 'When it was set last';
COMMENT ON COLUMN schedules.started IS 'How many runs it started';
COMMENT ON COLUMN schedules.skipped IS 'How many of its times were skipped';
COMMENT ON COLUMN schedules.last_due IS 'The latest of its times that came';
COMMENT ON COLUMN schedules.last_run IS 'run_id that it started last';
COMMENT ON COLUMN schedules.input_id IS 'Payload id of the arguments, for evercell.load';
COMMENT ON COLUMN schedules.notebook_run IS 'run_id of the notebook''s run that it belongs to';
COMMENT ON COLUMN schedules.notebook IS 'Absolute path of the notebook';
