"""eventsourcing's own suite for recorders, run against ours: it is one of theirs, with another way to append."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresDatastore

from commandside.event_store.recorder import BatchRecorder
from commandside.event_store.schema import SCHEMA


@contextmanager
def without_cipher() -> Iterator[None]:
    """The suite's module imports the library's cipher, which wants a package that nothing here uses."""
    stand_in = ModuleType("eventsourcing.cipher")
    stand_in.AESCipher = None  # type: ignore[attr-defined]
    sys.modules[stand_in.__name__] = stand_in
    try:
        yield
    finally:
        del sys.modules[stand_in.__name__]


with without_cipher():
    from eventsourcing.tests.persistence import ApplicationRecorderTestCase

THREADS_COUNT = 12  # of the suite's heaviest test, each with a connection


@pytest.fixture
def datastore(database_url: str) -> Iterator[PostgresDatastore]:
    info = psycopg.conninfo.conninfo_to_dict(database_url)
    datastore = PostgresDatastore(
        dbname=str(info["dbname"]),
        host=str(info["host"]),
        port=str(info["port"]),
        user=str(info["user"]),
        password=str(info.get("password", "")),
        pool_size=THREADS_COUNT,
        max_overflow=4,
        schema=SCHEMA,
    )
    yield datastore
    datastore.close()


class TestBatchRecorder(ApplicationRecorderTestCase[BatchRecorder]):
    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = False

    @pytest.fixture(autouse=True)
    def on(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore

    def create_recorder(self) -> BatchRecorder:
        return BatchRecorder(self.datastore)  # the tables are the migration's

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


# The one above is to be run, not the suite it comes from.
del ApplicationRecorderTestCase


def test_an_append_of_nothing_is_none(datastore: PostgresDatastore) -> None:
    recorder = BatchRecorder(datastore)
    assert recorder.insert_events([]) == []
    assert recorder.max_notification_id() is None


def test_an_append_that_fails_leaves_nothing(datastore: PostgresDatastore) -> None:
    recorder = BatchRecorder(datastore)
    taken = StoredEvent(uuid4(), 1, "lamp.lit.v1", b"{}")
    new = StoredEvent(uuid4(), 1, "lamp.lit.v1", b"{}")
    recorder.insert_events([taken])
    with pytest.raises(IntegrityError):
        recorder.insert_events([new, taken])
    assert len(recorder.select_notifications(None, 10)) == 1
