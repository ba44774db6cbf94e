from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.sql import SQL, Composed, Identifier

from commandside.event_store.schema import beside_and_append

Work = Mapping[UUID, datetime | None]
Reads = Mapping[UUID, int]


class BatchRecorder(PostgresApplicationRecorder):
    """eventsourcing's Postgres recorder: an append is one call, and a read of many streams one query.

    Chosen by the library's own setting: APPLICATION_RECORDER_TOPIC=commandside.event_store.recorder:BatchRecorder.
    What the writer waits for (`*_statement`) is asked on its event loop: loop_recorder.py.
    """

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.sql_create_statements += beside_and_append(datastore.schema, events_table_name)
        self.append_statement = self._sql(
            "SELECT {schema}.{append}(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[], "
            "%b::uuid[], %b::timestamptz[], %b::uuid[], %b::bigint[]) AS position"
        )
        self.check_statement = self._sql(
            "SELECT coalesce((SELECT max(notification_id) FROM {schema}.{table}), 0) AS position, EXISTS ("
            "    SELECT FROM unnest(%b::uuid[], %b::bigint[]) AS r(id, version) "
            "    JOIN {schema}.{table} e ON e.originator_id = r.id AND e.originator_version = r.version + 1"
            ") AS written"
        )
        self.fast_forward_statement = self._sql(
            "SELECT e.originator_id, e.originator_version, e.topic, e.state "
            "FROM unnest(%b::uuid[], %b::bigint[]) AS wanted(id, version) "
            "JOIN {schema}.{table} e ON e.originator_id = wanted.id AND e.originator_version > wanted.version "
            "ORDER BY e.originator_id, e.originator_version"
        )
        # A snapshot comes before the events after it: its version is lower than theirs.
        self.load_statement = self._sql(
            "WITH wanted AS ("
            "    SELECT w.id, w.version, s.originator_version AS snapshot_version, s.topic, s.state "
            "    FROM unnest(%b::uuid[], %b::bigint[]) AS w(id, version) "
            "    LEFT JOIN {schema}.snapshots s"
            "        ON s.originator_id = w.id AND w.version = 0 AND s.topic = ANY(%b::text[])"
            ") "
            "SELECT id AS originator_id, snapshot_version AS originator_version, topic, state "
            "FROM wanted WHERE snapshot_version IS NOT NULL "
            "UNION ALL "
            "SELECT e.originator_id, e.originator_version, e.topic, e.state FROM wanted "
            "JOIN {schema}.{table} e ON e.originator_id = wanted.id"
            "    AND e.originator_version > coalesce(wanted.snapshot_version, wanted.version) "
            "ORDER BY 1, 2"
        )
        self._positions = self._sql(
            "SELECT e.originator_id, e.originator_version, e.notification_id, e.state "
            "FROM unnest(%b::uuid[], %b::bigint[]) AS wanted(id, version) "
            "JOIN {schema}.{table} e ON e.originator_id = wanted.id AND e.originator_version = wanted.version"
        )
        self._history = self._sql(
            "SELECT notification_id, originator_id, originator_version, topic, state FROM {schema}.{table} "
            "WHERE originator_id = %b AND originator_version > %s ORDER BY originator_version LIMIT %s"
        )
        self._due_work = self._sql(
            "SELECT checkout_id FROM {schema}.unfinished_checkouts WHERE due_at <= %s ORDER BY due_at LIMIT %s"
        )
        # Two processes may snapshot one stream at once: the later version stays.
        self._save_snapshot = self._sql(
            "INSERT INTO {schema}.snapshots AS s (originator_id, originator_version, topic, state) "
            "VALUES (%b, %b, %b, %b) ON CONFLICT (originator_id) DO UPDATE SET "
            "originator_version = EXCLUDED.originator_version, topic = EXCLUDED.topic, state = EXCLUDED.state "
            "WHERE s.originator_version < EXCLUDED.originator_version OR s.topic <> EXCLUDED.topic"
        )

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Appends all or nothing, as the library asks for it: without open work, and without what was only read.

        Raises eventsourcing.persistence.IntegrityError when a version is taken, OperationalError when Postgres is away.
        It does not retry by itself, as the library does: whether a lost answer was a commit, the caller finds out.
        """
        if not stored_events:
            return []
        with self.datastore.get_connection() as conn, conn.cursor() as cursor:
            cursor.execute(
                self.append_statement,
                (
                    [event.originator_id for event in stored_events],
                    [event.originator_version for event in stored_events],
                    [event.topic for event in stored_events],
                    [event.state for event in stored_events],
                    [],
                    [],
                    [],
                    [],
                ),
                prepare=True,
            )
            return [row["position"] for row in cursor.fetchall()]

    def select_positions(self, events: Sequence[StoredEvent]) -> dict[tuple[UUID, int], tuple[int, bytes]]:
        """What is stored at these streams' versions: position and state."""
        with self.datastore.get_connection() as conn, conn.cursor(binary=True) as cursor:
            ids = [event.originator_id for event in events]
            cursor.execute(self._positions, (ids, [event.originator_version for event in events]))
            return {
                (row["originator_id"], row["originator_version"]): (row["notification_id"], row["state"])
                for row in cursor.fetchall()
            }

    def select_history(self, stream_id: UUID, after: int, limit: int | None) -> list[tuple[int, StoredEvent]]:
        """One stream's events after a version, with their positions."""
        with self.datastore.get_connection() as conn, conn.cursor(binary=True) as cursor:
            cursor.execute(self._history, (stream_id, after, limit))
            return [(row.pop("notification_id"), StoredEvent(**row)) for row in cursor.fetchall()]

    def select_due_work(self, now: datetime, limit: int) -> list[UUID]:
        with self.datastore.get_connection() as conn, conn.cursor() as cursor:
            cursor.execute(self._due_work, (now, limit))
            return [row["checkout_id"] for row in cursor.fetchall()]

    def save_snapshot(self, snapshot: StoredEvent) -> None:
        """Keeps it in place of an older one of the same stream."""
        with self.datastore.get_connection() as conn, conn.cursor() as cursor:
            row = (snapshot.originator_id, snapshot.originator_version, snapshot.topic, snapshot.state)
            cursor.execute(self._save_snapshot, row)

    def _sql(self, text: str) -> Composed:
        return SQL(text).format(
            schema=Identifier(self.datastore.schema),
            table=Identifier(self.events_table_name),
            append=Identifier(f"append_{self.events_table_name}"),
        )
