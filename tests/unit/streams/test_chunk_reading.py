from __future__ import annotations

from uuid import UUID

import pytest

from commandside.event_store.mapper import EventMapper
from domain.events import AnyEvent
from streams.chunk_reading import read
from streams.envelope import encode, encode_marker
from tests.integration.readside.shop import cart


def message(position: int, event: AnyEvent) -> bytes:
    stored = EventMapper().to_stored_event(event)
    row = (position, UUID(str(stored.originator_id)), stored.originator_version, stored.topic, stored.state)
    envelope = encode(row)
    assert envelope is not None
    return envelope.value


OPENED, ADDED = cart("customer:ada").collect_events()
UNKNOWN = message(6, ADDED).replace(b"cart.item_added.v1", b"cart.unknown.v9")


def every(_: UUID) -> bool:
    return True


@pytest.mark.parametrize(
    ("values", "begins_after", "up_to"),
    [
        ([], None, None),
        ([None, b"no envelope"], None, None),
        ([UNKNOWN], None, None),
        ([message(5, OPENED), message(6, ADDED)], 4, 6),
        ([encode_marker(5), message(6, ADDED)], 5, 6),
        ([None, message(5, OPENED), encode_marker(9), message(5, OPENED)], 4, 9),
        ([UNKNOWN, encode_marker(5)], 5, 5),
    ],
)
def test_what_a_chunk_says_of_its_place_in_the_log(
    values: list[bytes | None], begins_after: int | None, up_to: int | None
) -> None:
    reading = read(values, every)
    assert (reading.begins_after, reading.up_to) == (begins_after, up_to)


def test_what_cannot_be_read_is_told_apart() -> None:
    reading = read([None, message(5, OPENED), UNKNOWN, b"no envelope"], every)
    assert [damaged.index for damaged in reading.damaged] == [0, 3]
    (unreadable,) = reading.unreadable
    assert (unreadable.index, unreadable.events_before_count) == (2, 1)
    assert (unreadable.error.stream_id, unreadable.error.position) == (OPENED.originator_id, 6)


def test_an_unreadable_event_of_another_partition_sets_no_stream_aside() -> None:
    reading = read([UNKNOWN], lambda _: False)
    assert reading.unreadable == []
    assert [damaged.value for damaged in reading.damaged] == [UNKNOWN]
