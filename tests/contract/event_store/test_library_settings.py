"""The library's own factory makes our recorder and our mapper from its own settings, and they work together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.cryptography import AESCipher
from eventsourcing.persistence import InfrastructureFactory, IntegrityError
from eventsourcing.postgres import PostgresFactory

from commandside.event_store.mapper import EventMapper
from commandside.event_store.postgres import PostgresEventStore
from commandside.event_store.recorder import BatchRecorder
from domain.aggregates import StockItem
from tests.strategies import cause


@pytest.fixture
def settings(database_url: str) -> dict[str, str]:
    info = psycopg.conninfo.conninfo_to_dict(database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": "commandside.event_store.recorder:BatchRecorder",
        "MAPPER_TOPIC": "commandside.event_store.mapper:EventMapper",
        "POSTGRES_DBNAME": str(info["dbname"]),
        "POSTGRES_HOST": str(info["host"]),
        "POSTGRES_PORT": str(info["port"]),
        "POSTGRES_USER": str(info["user"]),
        "POSTGRES_PASSWORD": str(info.get("password", "")),
        "POSTGRES_SCHEMA": "log",
        "CREATE_TABLE": "n",
    }


@pytest.fixture
def factory(settings: dict[str, str]) -> Iterator[InfrastructureFactory[Any]]:
    with InfrastructureFactory.construct(settings) as factory:
        yield factory
    factory.close()


def test_it_chooses_ours(factory: InfrastructureFactory[Any]) -> None:
    assert isinstance(factory, PostgresFactory)
    assert type(factory.application_recorder()) is BatchRecorder
    assert type(factory.mapper()) is EventMapper


def test_its_cipher_and_compressor_are_the_mappers(settings: dict[str, str]) -> None:
    factory: InfrastructureFactory[Any] = InfrastructureFactory.construct(
        settings
        | {
            "CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher",
            "CIPHER_KEY": AESCipher.create_key(16),
            "COMPRESSOR_TOPIC": "eventsourcing.compressor:ZlibCompressor",
        }
    )
    mapper: EventMapper = factory.mapper()  # type: ignore[assignment]
    factory.close()
    assert isinstance(mapper.cipher, AESCipher)
    assert isinstance(mapper.compressor, ZlibCompressor)
    event = StockItem.open("lamp", "north", cause()).collect_events()[0]
    assert b"lamp" not in mapper.to_stored_event(event).state
    assert mapper.to_domain_event(mapper.to_stored_event(event)) == event


async def test_the_librarys_event_store_and_ours_share_one_log(
    factory: InfrastructureFactory[Any], database_url: str
) -> None:
    item = StockItem.open("lamp", "north", cause())
    item.receive(5, cause())
    opened, received = item.collect_events()
    theirs: Any = factory.event_store()
    theirs.put([opened])
    ours = PostgresEventStore(database_url)

    await ours.append([received], {})

    assert list(theirs.get(item.id)) == [opened, received]
    assert [recorded.event for recorded in await ours.history(item.id)] == [opened, received]
    with pytest.raises(IntegrityError):
        theirs.put([received])
    ours.close()


def test_it_makes_the_tables_where_there_are_none(settings: dict[str, str], database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA another_log")
    factory: InfrastructureFactory[Any] = InfrastructureFactory.construct(
        settings | {"POSTGRES_SCHEMA": "another_log", "CREATE_TABLE": "y"}
    )
    recorder = factory.application_recorder()
    stored = EventMapper().to_stored_event(StockItem.open("lamp", "north", cause()).collect_events()[0])
    try:
        assert recorder.insert_events([stored]) == [1]
        assert [notification.topic for notification in recorder.select_notifications(None, 10)] == ["stock.opened.v1"]
    finally:
        factory.close()
