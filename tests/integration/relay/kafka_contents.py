"""What Kafka holds of a log: read back, and compared with the log."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.envelope import PositionMarker, decode
from streams.topics import KEPT_IN_THE_LOG, TOPICS, kafka_topic, kind_of

ANSWER_TIMEOUT_SECONDS: Final = 30.0
PARTITIONS_COUNT: Final = 8
Place = tuple[str, int]  # topic and partition
Sent = tuple[int, UUID, int]  # position, stream, version


@dataclass
class Contents:
    """Each partition in its order: events as Sent, markers as their position."""

    by_partition: dict[Place, list[Sent | PositionMarker]] = field(default_factory=lambda: defaultdict(list))
    keys: dict[Place, set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def events(self) -> list[Sent]:
        """Partition by partition."""
        return [one for held in self.by_partition.values() for one in held if not isinstance(one, PositionMarker)]

    def last_markers(self) -> dict[Place, int]:
        """The highest of each partition that has one."""
        found = {
            place: max((one.position for one in held if isinstance(one, PositionMarker)), default=0)
            for place, held in self.by_partition.items()
        }
        return {place: position for place, position in found.items() if position}


def ends(kafka_address: str) -> dict[Place, int]:
    """The offset after the last message of each partition; empty for topics that are not there."""
    reader = _reader(kafka_address)
    try:
        there = reader.list_topics(timeout=ANSWER_TIMEOUT_SECONDS).topics
        return {
            (topic, n): reader.get_watermark_offsets(TopicPartition(topic, n), timeout=ANSWER_TIMEOUT_SECONDS)[1]
            for topic in TOPICS
            if topic in there
            for n in there[topic].partitions
        }
    finally:
        reader.close()


def contents(kafka_address: str, since: dict[Place, int]) -> Contents:
    """All that came after `since`."""
    found = Contents()
    until = {place: end for place, end in ends(kafka_address).items() if end > since.get(place, 0)}
    reader = _reader(kafka_address)
    try:
        reader.assign([TopicPartition(*place, since.get(place, 0)) for place in until])
        give_up_at = time.monotonic() + ANSWER_TIMEOUT_SECONDS
        while until:
            assert time.monotonic() < give_up_at, f"{until} were not read"
            for message in reader.consume(1_000, timeout=0.1):  # waits for so many
                if (error := message.error()) is not None:
                    raise KafkaException(error)
                topic, n, offset, value = message.topic(), message.partition(), message.offset(), message.value()
                assert topic is not None and n is not None and offset is not None and isinstance(value, bytes)
                read = decode(value)
                if isinstance(read, PositionMarker):
                    assert message.key() is None
                    found.by_partition[topic, n].append(read)
                else:
                    key = message.key()
                    assert isinstance(key, bytes)
                    assert key == str(read.event.originator_id).encode()
                    found.by_partition[topic, n].append(
                        (read.position, read.event.originator_id, read.event.originator_version)
                    )
                    found.keys[topic, n].add(key)
                if offset + 1 >= until.get((topic, n), 0):
                    until.pop((topic, n), None)
    finally:
        reader.close()
    return found


def to_be_sent(database_url: str) -> dict[UUID, list[Sent]]:
    """What the log holds for Kafka, by stream, in order."""
    streams: dict[UUID, list[Sent]] = defaultdict(list)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT notification_id, originator_id, originator_version, topic FROM log.stored_events "
            "ORDER BY notification_id"
        )
        for position, stream_id, version, event_type in rows:
            if kind_of(event_type) not in KEPT_IN_THE_LOG:
                assert kafka_topic(event_type) is not None
                streams[stream_id].append((position, stream_id, version))
    return streams


def ensure_all_there_in_order(found: Contents, database_url: str) -> int:
    """Nothing missing, nothing that is not in the log, each stream in its order; returns how many came again."""
    return compare(found, to_be_sent(database_url))


def compare(found: Contents, log: dict[UUID, list[Sent]]) -> int:
    events = found.events()
    assert set(events) == {one for stream in log.values() for one in stream}
    seen: dict[UUID, int] = defaultdict(int)
    for _, stream_id, version in events:
        assert version <= seen[stream_id] + 1, f"version {version} of {stream_id} came before what it follows"
        seen[stream_id] = max(seen[stream_id], version)
    for place, held in found.by_partition.items():
        streams = {one[1] for one in held if not isinstance(one, PositionMarker)}
        belonging = sorted(position for stream in streams for position, _, _ in log[stream])
        _ensure_markers_true(place, held, belonging)
    return len(events) - len(set(events))


def _ensure_markers_true(place: Place, held: list[Sent | PositionMarker], belonging: list[int]) -> None:
    """Whatever belongs into a partition up to a marker's position stands before the marker."""
    seen: set[int] = set()
    expected = iter(belonging)
    following = next(expected, None)
    for one in held:
        if not isinstance(one, PositionMarker):
            seen.add(one[0])
            continue
        while following is not None and following <= one.position:
            assert following in seen, f"{place} was told of {one.position} before it had {following}"
            following = next(expected, None)


def _reader(kafka_address: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": kafka_address,
            "group.id": "tests",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
        }
    )
