"""The script that writes views and checkpoint: never an older view over a newer one, and the checkpoint last."""

from __future__ import annotations

import pytest
import redis.exceptions
from redis.asyncio import Redis

from projections.stock_level import StockLevel
from projections.writes import Checkpoint, CheckpointLost, PutDocument, PutEntry, PutLevel, Write, Writer


async def write(client: Redis, *writes: Write, expected: int = 0, new: int = 1, partition: str = "0") -> int:
    return await Writer(client).write(writes, Checkpoint("stock", "checkpoint", partition, expected, new))


async def test_a_document_replaces_an_older_one_and_no_other(redis_client: Redis) -> None:
    for version in (2, 1, 2, 3):
        await write(redis_client, PutDocument("d", version, {"body": b"v%d" % version}))
        held = await redis_client.hgetall("d")
        assert held[b"body"] == (b"v2" if version < 3 else b"v3")


async def test_versions_are_compared_as_numbers(redis_client: Redis) -> None:
    await write(redis_client, PutDocument("d", 9, {"body": b"nine"}))
    await write(redis_client, PutDocument("d", 10, {"body": b"ten"}))
    assert await redis_client.hget("d", "body") == b"ten"


async def test_levels_of_several_warehouses_add_up_whatever_the_order(redis_client: Redis) -> None:
    north, south = ("s", "@north"), ("s", "@south")
    await write(redis_client, PutLevel(*north, StockLevel(2, 10, 3)), PutLevel(*south, StockLevel(5, 4, 0)))
    await write(redis_client, PutLevel(*north, StockLevel(1, 99, 0)))
    await write(redis_client, PutLevel(*south, StockLevel(6, 1, 1)), PutLevel(*south, StockLevel(6, 1, 1)))
    assert await redis_client.hgetall("s") == {b"available": b"7", b"@north": b"2 10 3", b"@south": b"6 1 1"}


async def test_large_figures_stay_exact(redis_client: Redis) -> None:
    await write(redis_client, PutLevel("s", "@north", StockLevel(1, 2**52 + 1, 0)))
    assert await redis_client.hget("s", "available") == str(2**52 + 1).encode()


async def test_the_checkpoint_goes_forward_only(redis_client: Redis) -> None:
    assert await write(redis_client, new=7) == 7
    assert await write(redis_client, expected=7, new=5) == 7
    assert await redis_client.hgetall("checkpoint") == {b"0": b"7"}


async def test_each_partition_has_its_own(redis_client: Redis) -> None:
    await write(redis_client, new=7)
    await write(redis_client, new=3, partition="1")
    assert await redis_client.hgetall("checkpoint") == {b"0": b"7", b"1": b"3"}


async def test_a_store_that_has_forgotten_is_not_written_to(redis_client: Redis) -> None:
    with pytest.raises(CheckpointLost) as raised:
        await write(redis_client, PutDocument("d", 1, {"body": b"v1"}), PutEntry("z", "m"), expected=5, new=6)
    assert raised.value.held_position == 0
    assert await redis_client.keys("*") == []


async def test_the_script_is_loaded_again_when_the_server_has_lost_it(redis_client: Redis) -> None:
    writer = Writer(redis_client)
    await writer.write([], Checkpoint("stock", "checkpoint", "0", 0, 1))
    await redis_client.script_flush()
    assert await writer.write([], Checkpoint("stock", "checkpoint", "0", 1, 2)) == 2


async def test_after_an_error_the_checkpoint_has_not_moved(redis_client: Redis) -> None:
    """A script is not rolled back: what came before the error is there, and comes again with the next attempt."""
    await redis_client.set("d", "a string")
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        await write(redis_client, PutEntry("z", "m"), PutDocument("d", 1, {"body": b"v1"}))
    assert await redis_client.exists("checkpoint") == 0
