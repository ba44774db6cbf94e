"""The simulated bus and its relay: late, twice and out of order between partitions, and never with a gap within one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from uuid import UUID

import pytest

from counterfoil.simulation.bus import Bus, Message, Partition
from counterfoil.simulation.dice import Part, dice_of
from counterfoil.simulation.faults import Adversity
from counterfoil.simulation.history import History
from counterfoil.simulation.log import SimulatedLog
from counterfoil.simulation.loop import VirtualLoop
from counterfoil.simulation.relay import Relay
from counterfoil.simulation.run import run
from counterfoil.simulation.scenario import draw
from counterfoil.simulation.world import World
from streams.envelope import PositionMarker, decode
from streams.topics import kafka_topic


@lru_cache(maxsize=1)
def shopping() -> History:
    return run(draw(2, shoppers_count=10, faults_count=0))


@pytest.fixture
def world() -> Iterator[World]:
    loop = VirtualLoop(dice_of(1, Part.ORDER))
    log = SimulatedLog()
    log.rows = shopping().rows
    yield World(loop, log, Adversity(()), dice_of(1, Part.WAYS))
    loop.close()


def relayed(world: World, *, changes_count: int) -> Bus:
    """All of the log, with so many changes of the leader on the way, and a jump of the clock."""
    bus = Bus()
    relay = Relay(world, bus)

    async def relay_all() -> None:
        running = world.loop.create_task(relay.run())
        for _ in range(changes_count):
            await asyncio.sleep(world.dice.random() * 6)
            relay.change_leader(world.dice.random())
        world.loop.jump(20)
        while not relay.has_sent_all:  # noqa: ASYNC110 (virtual time: it takes none)
            await asyncio.sleep(1)
        running.cancel()

    world.loop.run_until_complete(relay_all())
    return bus


def versions(partition: Partition) -> dict[UUID, list[int]]:
    found: dict[UUID, list[int]] = {}
    for message in partition.messages:
        read = decode(message.value)
        if not isinstance(read, PositionMarker):
            found.setdefault(read.event.originator_id, []).append(read.event.originator_version)
    return found


def test_one_leader_sends_every_event_once_and_in_the_order_of_its_stream(world: World) -> None:
    bus = relayed(world, changes_count=0)

    found = [versions(partition) for partition in bus.partitions.values()]
    assert all(list(range(1, len(seen) + 1)) == seen for streams in found for seen in streams.values())
    sent_count = sum(len(seen) for streams in found for seen in streams.values())
    assert sent_count == sum(kafka_topic(row[3]) is not None for row in shopping().rows)


def test_the_next_leader_sends_some_again_and_leaves_nothing_out(world: World) -> None:
    bus = relayed(world, changes_count=4)

    found = [versions(partition) for partition in bus.partitions.values()]
    repeated_count = 0
    for streams in found:
        for seen in streams.values():
            held = 0
            for version in seen:
                assert version <= held + 1
                repeated_count += version <= held
                held = max(held, version)
    assert repeated_count > 0
    assert sum(len(set(seen)) for streams in found for seen in streams.values()) == sum(
        kafka_topic(row[3]) is not None for row in shopping().rows
    )


def test_a_mark_never_comes_before_what_it_stands_for(world: World) -> None:
    bus = relayed(world, changes_count=4)

    for (topic, number), partition in bus.partitions.items():
        due = {
            row[0]
            for row in shopping().rows
            if kafka_topic(row[3]) == topic and bus.number_of(topic, str(row[1]).encode()) == number
        }
        seen: set[int] = set()
        for message in partition.messages:
            read = decode(message.value)
            if isinstance(read, PositionMarker):
                assert {position for position in due if position <= read.position} <= seen
            else:
                seen.add(read.position)
        assert seen == due


def test_what_is_forgotten_is_not_there_and_the_offsets_stay() -> None:
    partition = Partition([Message(None, b"%d" % number) for number in range(5)])

    partition.forget(3)

    assert (partition.first_offset, partition.end_offset) == (3, 5)
    assert [message.value for message in partition.read(4, 10)] == [b"4"]
