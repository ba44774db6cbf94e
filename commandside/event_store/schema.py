"""The write side's tables: stored events as eventsourcing lays them out, open work, snapshots, and the append."""

from __future__ import annotations

from psycopg import sql

SCHEMA = "log"
TABLE = "stored_events"
CHANNEL = TABLE  # as the library names it: after the table

_BESIDE = """
-- Checkouts with something left to do, and when: kept in the same transaction as their events.
CREATE TABLE IF NOT EXISTS {schema}.unfinished_checkouts (
    checkout_id uuid PRIMARY KEY,
    due_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS unfinished_checkouts_due_at_idx ON {schema}.unfinished_checkouts (due_at);

-- The latest snapshot of streams that have no end. Only ever a shortcut: may be emptied at any time.
CREATE TABLE IF NOT EXISTS {schema}.snapshots (
    originator_id uuid PRIMARY KEY,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL
);
"""

# One round trip an append. What the decisions read must be as they read it: with that, and the primary key for what
# they write, every batch is serialisable. The lock makes the order of positions the order of commits: without it a
# reader that tails the log could pass a position that is committed later.
_APPEND = """
CREATE OR REPLACE FUNCTION {schema}.append_{name}(
    ids uuid[], versions bigint[], topics text[], states bytea[],
    work_ids uuid[], work_due_at timestamptz[],
    read_ids uuid[], read_versions bigint[]
) RETURNS SETOF bigint LANGUAGE plpgsql AS $BODY$
BEGIN
    LOCK TABLE {schema}.{table} IN EXCLUSIVE MODE;
    IF EXISTS (
        SELECT FROM unnest(read_ids, read_versions) AS r(id, version)
        JOIN {schema}.{table} e ON e.originator_id = r.id AND e.originator_version = r.version + 1
    ) THEN
        RAISE unique_violation USING MESSAGE = 'a stream that was read has been written since';
    END IF;
    NOTIFY {channel};
    IF cardinality(work_ids) > 0 THEN
        DELETE FROM {schema}.unfinished_checkouts
            USING unnest(work_ids, work_due_at) AS work(id, due_at)
            WHERE checkout_id = work.id AND work.due_at IS NULL;
        INSERT INTO {schema}.unfinished_checkouts (checkout_id, due_at)
            SELECT id, due_at FROM unnest(work_ids, work_due_at) AS work(id, due_at) WHERE due_at IS NOT NULL
            ON CONFLICT (checkout_id) DO UPDATE SET due_at = EXCLUDED.due_at;
    END IF;
    RETURN QUERY
    INSERT INTO {schema}.{table} (originator_id, originator_version, topic, state)
        SELECT * FROM unnest(ids, versions, topics, states)
        RETURNING notification_id;
END;
$BODY$
"""

_EVENTS = """
CREATE SCHEMA IF NOT EXISTS {schema};

-- As eventsourcing's PostgresApplicationRecorder lays it out. Rows are never updated, so vacuum has little to do; the
-- thresholds keep it from reading a large table for nothing, while statistics stay fresh.
CREATE TABLE {schema}.{table} (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text,
    state bytea,
    notification_id bigserial,
    PRIMARY KEY (originator_id, originator_version)
) WITH (
    autovacuum_enabled = true,
    autovacuum_vacuum_threshold = 100000000,
    autovacuum_vacuum_scale_factor = 0.5,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.01
);
CREATE UNIQUE INDEX stored_events_notification_id_idx ON {schema}.{table} (notification_id);
CREATE TYPE {schema}.stored_event_uuid AS (originator_id uuid, originator_version bigint, topic text, state bytea);
"""


def beside_and_append(schema: str, table: str) -> list[sql.Composed]:
    """What stands beside the library's table: open work, snapshots, and the append to exactly this table."""
    return [_composed(_BESIDE, schema, table), _composed(_APPEND, schema, table)]


def _composed(text: str, schema: str, table: str) -> sql.Composed:
    # The names of functions and channels are the table's: two logs in one schema must not share them.
    return sql.SQL(text).format(
        schema=sql.Identifier(schema),
        table=sql.Identifier(table),
        name=sql.SQL(table),
        channel=sql.Identifier(table.replace(".", "_")),
    )


CREATE = ";\n".join(_composed(text, SCHEMA, TABLE).as_string() for text in (_EVENTS, _BESIDE, _APPEND)) + ";"
