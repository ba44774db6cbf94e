"""Offsets are kept beside the positions that they stand for, and never outlive them."""

from __future__ import annotations

from redis.asyncio import Redis

from projections.keys import Keys
from streams.places import StoredPlaces

KEYS = Keys()
PARTITIONS = ("order-events:0", "order-events:1")


async def stored_at(redis_client: Redis, **positions: int) -> StoredPlaces:
    places = StoredPlaces(redis_client)
    await places.prepare(KEYS, "order", PARTITIONS)
    for number, position in enumerate(positions.values()):
        await redis_client.hset(KEYS.checkpoint("order"), PARTITIONS[number], str(position))
    return places


async def test_they_are_written_where_the_store_holds_what_they_stand_for(redis_client: Redis) -> None:
    places = await stored_at(redis_client, first=10, second=20)
    assert await places.write(KEYS, "order", {PARTITIONS[0]: (10, 7), PARTITIONS[1]: (15, 9)}) is None
    assert await places.offsets(KEYS, "order", PARTITIONS) == {PARTITIONS[0]: 7, PARTITIONS[1]: 9}


async def test_into_a_store_that_was_emptied_nothing_is_written(redis_client: Redis) -> None:
    places = await stored_at(redis_client, first=10, second=20)
    await redis_client.flushdb()
    assert await places.write(KEYS, "order", {PARTITIONS[0]: (10, 7)}) == PARTITIONS[0]
    assert await redis_client.dbsize() == 0


async def test_where_one_has_fallen_back_none_is_written(redis_client: Redis) -> None:
    places = await stored_at(redis_client, first=10, second=5)
    assert await places.write(KEYS, "order", {PARTITIONS[0]: (10, 7), PARTITIONS[1]: (15, 9)}) == PARTITIONS[1]
    assert await places.offsets(KEYS, "order", PARTITIONS) == dict.fromkeys(PARTITIONS)
