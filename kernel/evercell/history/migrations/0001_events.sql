-- The event history: one row an event, only ever appended. A status is never stored: the views
-- compute it. Rows come from the journals alone (fold.py), so everything can be told apart by
-- (writer, position), and `store.writer` says up to where each journal has been taken in; both
-- change in the same transaction.
--
-- Steps have columns of their own, because there are many of them and resuming reads them; runs
-- and cells, of which there are few, keep `body` (MessagePack, lossless) and `detail` (JSON).

CREATE SCHEMA store;

CREATE TABLE store.migration (
    version INTEGER PRIMARY KEY,
    evercell VARCHAR NOT NULL,          -- release that applied it
    applied_at TIMESTAMPTZ NOT NULL
);

-- Which script (views/*.sql) made the views: when it changed, they are made anew.
CREATE TABLE store.views (digest VARCHAR NOT NULL);

CREATE TABLE store.writer (
    writer VARCHAR PRIMARY KEY,
    pid BIGINT NOT NULL,
    host VARCHAR NOT NULL,
    alive BOOLEAN NOT NULL,             -- its process still held its lock at the last fold
    segment INTEGER NOT NULL,           -- what has been applied: segment, offset in it,
    "offset" BIGINT NOT NULL,           -- number of the batch and of the event
    batch BIGINT NOT NULL,
    position BIGINT NOT NULL,
    key VARCHAR NOT NULL,               -- id of the user key that its journal is tagged with
    partial BOOLEAN NOT NULL            -- rows are missing, or were taken in by another user
);

CREATE TABLE store.event (
    writer VARCHAR NOT NULL,
    position BIGINT NOT NULL,           -- in the writer's journal, from 1
    generation INTEGER NOT NULL,        -- of the attachment that it belongs to
    seq BIGINT NOT NULL,                -- order in the run: generation << 40 | position
    run_id VARCHAR NOT NULL,
    at_ns BIGINT NOT NULL,              -- wall clock, nanoseconds since the epoch
    type VARCHAR NOT NULL,
    tag BLOB,                           -- proves the row to its user (rows.py); null: nobody's
    block BIGINT,                       -- of steps: seq of the row whose tag proves this one, too
    activity_id VARCHAR,
    cell VARCHAR,                       -- activity_id of the cell execution, for steps
    slot VARCHAR,
    name VARCHAR,
    key BLOB,
    ordinal INTEGER,
    arguments VARCHAR,
    at_most_once BOOLEAN,
    attempt INTEGER,
    duration_ns BIGINT,
    reason VARCHAR,
    retry_delay_ns BIGINT,
    error_type VARCHAR,
    error_message VARCHAR,
    error_traceback VARCHAR,
    codec VARCHAR,                      -- the payload of the result or of the error
    payload_id BLOB,
    payload_size BIGINT,
    payload_data BLOB,                  -- null where the payload is a file
    view VARCHAR,                       -- JSON for people where SQL can't read the payload
    answered VARCHAR[],                 -- activity_ids of StepsAnswered
    host_run VARCHAR,                   -- of RunStarted: run whose kernel carries this workflow
    detail JSON,
    body BLOB
);

-- What cells showed, a row for each message of CellCompleted.outputs and CellFailed.outputs: made
-- with the event's row, because SQL can't decode MessagePack (outputs.py).
CREATE TABLE store.output (
    writer VARCHAR NOT NULL,            -- of the event, with its position
    position BIGINT NOT NULL,
    run_id VARCHAR NOT NULL,
    activity_id VARCHAR NOT NULL,
    ordinal INTEGER NOT NULL,           -- in the cell's outputs, from 0
    kind VARCHAR,                       -- type of message; null: all of them, not readable here
    name VARCHAR,
    mime VARCHAR,
    text VARCHAR,
    data VARCHAR,                       -- JSON
    size BIGINT NOT NULL,
    payload_id BLOB NOT NULL            -- the cell's outputs, whole
);

-- What was taken out on purpose, or could not be saved: `verify` does not count it as missing.
CREATE TABLE store.removed (
    writer VARCHAR NOT NULL,
    run_id VARCHAR,                     -- null: unknown, from a damaged journal
    events BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    removed_at TIMESTAMPTZ NOT NULL
);

-- Who accepted other users' records, on their word (`evercell trust`).
CREATE TABLE store.trusted (
    trusted_at TIMESTAMPTZ NOT NULL,
    "user" VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    key VARCHAR NOT NULL,               -- id of the key that the records are tagged with now
    events BIGINT NOT NULL,
    payloads BIGINT NOT NULL
);
