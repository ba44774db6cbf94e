"""Compressed and encrypted, everything comes back through Postgres as it was, and with its own key only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.cryptography import AESCipher
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from eventsourcing.utils import Environment

from commandside.event_store.log import PostgresEventLog
from commandside.event_store.mapper import EventMapper
from commandside.event_store.postgres import PostgresEventStore
from commandside.event_store.snapshots import Snapshot, SnapshotMapper
from domain.aggregates import Cart
from domain.events import EVENT_TYPES, AnyEvent
from domain.values import CartLine, Money
from tests.history.write_golden import sample
from tests.strategies import cause

KEY_BYTES = 32
SECRET = "a title that nobody else shall read"


def cipher() -> AESCipher:
    """Each with a key of its own."""
    return AESCipher(Environment(env={AESCipher.CIPHER_KEY: AESCipher.create_key(KEY_BYTES)}))


@pytest.fixture
def mapper() -> EventMapper:
    return EventMapper(compressor=ZlibCompressor(), cipher=cipher())


@pytest.fixture
def store(database_url: str, mapper: EventMapper) -> Iterator[PostgresEventStore]:
    store = PostgresEventStore(database_url, mapper=mapper)
    yield store
    store.close()


def a_cart() -> Cart:
    cart = Cart.open("customer:ada", cause())
    cart.add(CartLine("lamp", SECRET, 2, Money(999, "GBP")), cause())
    return cart


def stored_bytes(database_url: str, table: str) -> bytes:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(f"SELECT state FROM log.{table}".encode()).fetchall()
    assert rows
    return b"".join(bytes(row[0]) for row in rows)


async def test_every_kind_of_event_comes_back_as_it_was(
    database_url: str, store: PostgresEventStore, mapper: EventMapper
) -> None:
    events = [
        replace(sample(event_type), originator_id=UUID(int=n), originator_version=1)
        for n, event_type in enumerate(EVENT_TYPES.values())
    ]
    await store.append(events, {})

    assert await store.load({UUID(int=n): 0 for n in range(len(events))}) == {
        UUID(int=n): [event] for n, event in enumerate(events)
    }
    async with PostgresEventLog(database_url, mapper=mapper) as log:
        assert [recorded.event for recorded in await log.read(0, 100)] == events
    plain = stored_bytes(database_url, "stored_events")
    assert b"actor" not in plain and b"causation" not in plain


async def test_a_snapshot_comes_back_as_it_was(database_url: str, store: PostgresEventStore) -> None:
    cart = a_cart()
    await store.append(cart.collect_events(), {})
    await store.save_snapshot(Snapshot.take(cart))

    assert await store.load({cart.id: 0}) == {cart.id: [Snapshot.take(cart)]}
    for table in ("stored_events", "snapshots"):
        assert SECRET.encode() not in stored_bytes(database_url, table)


async def test_plain_bytes_would_be_seen(database_url: str) -> None:
    """Or the two tests above would prove nothing."""
    store = PostgresEventStore(database_url)
    cart = a_cart()
    await store.append(cart.collect_events(), {})
    await store.save_snapshot(Snapshot.take(cart))
    store.close()
    for table in ("stored_events", "snapshots"):
        assert SECRET.encode() in stored_bytes(database_url, table)


OTHERS = {
    "another key": lambda: EventMapper(compressor=ZlibCompressor(), cipher=cipher()),
    "no key": lambda: EventMapper(compressor=ZlibCompressor()),
    "nothing at all": EventMapper,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_without_its_key_nothing_can_be_read(
    database_url: str, store: PostgresEventStore, other: type[EventMapper]
) -> None:
    cart = a_cart()
    await store.append(cart.collect_events(), {})
    stranger = PostgresEventStore(database_url, mapper=other())
    with pytest.raises(MapperDeserialisationError, match=f"event 1 of stream {cart.id}"):
        await stranger.load({cart.id: 0})
    with pytest.raises(MapperDeserialisationError):
        await stranger.history(cart.id)
    async with PostgresEventLog(database_url, mapper=other()) as log:
        with pytest.raises(MapperDeserialisationError):
            await log.read(0, 10)
    stranger.close()


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_without_its_key_no_snapshot_can_be_read(mapper: EventMapper, other: type[EventMapper]) -> None:
    sealed = SnapshotMapper(mapper).to_stored(Snapshot.take(a_cart()))
    with pytest.raises(MapperDeserialisationError, match=f"snapshot 2 of stream {a_cart().id}"):
        SnapshotMapper(other()).to_snapshot(sealed)


def damaged(stored: StoredEvent, how: str) -> StoredEvent:
    middle = len(stored.state) // 2
    states = {
        "empty": b"",
        "short": stored.state[:20],
        "cut": stored.state[:-1],
        "one bit": stored.state[:middle] + bytes([stored.state[middle] ^ 1]) + stored.state[middle + 1 :],
    }
    return replace(stored, state=states[how])


@pytest.mark.parametrize("how", ["empty", "short", "cut", "one bit"])
@pytest.mark.parametrize("sealed", ["compressed", "encrypted", "both"])
def test_what_was_damaged_is_refused(how: str, sealed: str) -> None:
    mapper = EventMapper(
        compressor=ZlibCompressor() if sealed != "encrypted" else None,
        cipher=cipher() if sealed != "compressed" else None,
    )
    event: AnyEvent = a_cart().collect_events()[1]
    stored = mapper.to_stored_event(event)
    assert mapper.to_domain_event(stored) == event
    with pytest.raises(MapperDeserialisationError):
        mapper.to_domain_event(damaged(stored, how))


def test_the_same_event_is_never_sealed_the_same_twice(mapper: EventMapper) -> None:
    """AES-GCM: each state under a nonce of its own."""
    event = a_cart().collect_events()[0]
    assert mapper.to_stored_event(event).state != mapper.to_stored_event(event).state
