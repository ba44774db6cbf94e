"""`counterfoil rebuild`, `verify` and `status`, as they are typed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import rebuild as bench
from projections.generations import Generations
from projections.keys import Keys
from tests.fixtures.ports import free_port
from tests.integration.readside.shop import order, product, stock
from tests.integration.rebuild.beside import Stores
from tests.waiting import eventually

TIMEOUT_SECONDS = 100
EVENTS_COUNT = 60_000


class Shell:
    def __init__(self, stores: Stores, var: Path) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": stores.database_url,
            "REDIS_URL": stores.redis_url,
            "COUNTERFOIL_VAR": str(var),
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "counterfoil", *arguments],
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Status, output, errors."""
        process = self.start(*arguments, **environment)
        try:
            out, err = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_SECONDS)
        finally:
            process.kill()
        return process.returncode, out, err


@pytest.fixture
def shell(stores: Stores, tmp_path: Path) -> Shell:
    return Shell(stores, tmp_path / "var")


@pytest.mark.long
async def test_rebuild_back_and_drop(stores: Stores, shell: Shell) -> None:
    await stores.happened(product(), stock(), order("customer:ada", 1))
    code, out, err = await shell.run("rebuild", "order", "--seed", "42")
    assert (code, err) == (0, "")
    assert "seed 42" in out
    assert "generation 2 is live" in out
    code, out, _ = await shell.run("rebuild", "order", "--back")
    assert (code, "generation 1 is live again" in out) == (1, False), "nobody has fed it: it is behind"
    code, out, _ = await shell.run("rebuild", "order", "--drop-old")
    assert (code, "generation 2 is live" in out) == (0, True)


async def test_a_view_that_there_is_not(shell: Shell) -> None:
    code, _, err = await shell.run("rebuild", "nothing")
    assert code == 1
    assert "it is one of product, stock, cart, order" in err


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_ended_in_the_middle_it_goes_on_where_it_was(stores: Stores, shell: Shell, how: signal.Signals) -> None:
    await asyncio.to_thread(bench.write, lambda: None, 0, stores.database_url, EVENTS_COUNT)
    process = shell.start("rebuild", "cart")
    try:
        await eventually(lambda: checkpoint(stores), lambda position: position > 0)
        process.send_signal(how)
        out, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    assert how == signal.SIGKILL or "goes on where it was" in out
    held = await checkpoint(stores)
    assert (await Generations(stores.client).standing("cart")).live == 1

    code, out, err = await shell.run("rebuild", "cart")

    assert (code, err) == (0, "")
    assert "going on with generation 2" in out
    assert await checkpoint(stores) >= max(held, EVENTS_COUNT)
    assert (await shell.run("verify", "cart"))[0] == 0


async def checkpoint(stores: Stores) -> int:
    return int(await stores.client.hget(Keys.of(2).checkpoint("cart"), "0") or 0)


async def test_verify_tells_what_differs_and_ends_with_one(stores: Stores, shell: Shell) -> None:
    async with stores.projecting():
        await stores.until_seen(await stores.happened(product(), stock()))
    code, out, err = await shell.run("verify", "stock")
    assert (code, err) == (0, "")
    assert "1 streams and 1 keys compared, 0 differences" in out
    assert "behind" not in out
    await stores.client.hincrby(Keys().stock("lamp"), "available", 1)
    code, out, _ = await shell.run("verify", "stock")
    assert code == 1
    assert "wrong sum: counterfoil:1:stock:lamp available: stored 11, expected 10" in out
    code, out, _ = await shell.run("verify", "stock", "--json")
    assert json.loads(out) == {
        "what": "wrong sum",
        "key": "counterfoil:1:stock:lamp",
        "field": "available",
        "stored": "11",
        "expected": "10",
    }


async def test_status_tells_how_far_everybody_is(stores: Stores, shell: Shell) -> None:
    async with stores.projecting():
        first = await stores.happened(product())
        await stores.until_seen(first)
        await eventually(lambda: search_position(stores), lambda position: position == first)
        await eventually(lambda: sales_position(stores), lambda position: position == first)
    last = await stores.happened(stock(), stock(warehouse_id="south"))
    code, out, err = await shell.run("status", "--json")
    found: Any = json.loads(out)
    consumers = {consumer["name"]: consumer for consumer in found["consumers"]}
    assert (code, err, found["log_position"]) == (0, "", last)
    assert set(consumers) == {"product", "stock", "cart", "order", "search", "sales"}
    assert {consumer["position"] for consumer in consumers.values()} == {first}
    assert {consumer["events_behind"] for consumer in consumers.values()} == {4}
    assert all(consumer["lag_seconds"] > 0 for consumer in consumers.values())
    code, out, _ = await shell.run("status", COLUMNS="120")
    assert code == 0
    assert "events behind" in out


async def sales_position(stores: Stores) -> int:
    return int(await stores.client.hget(Keys().checkpoint("sales"), "0") or 0)


async def search_position(stores: Stores) -> int:
    async with stores.pool.connection() as connection:
        cursor = await connection.execute("SELECT position FROM search.checkpoint WHERE projection = 'search'")
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize(
    ("variable", "name", "url"),
    [
        ("DATABASE_URL", "postgres", "postgresql://nobody:secret@127.0.0.1:{port}/none"),
        ("REDIS_URL", "valkey", "redis://:secret@127.0.0.1:{port}/0"),
        ("OPENSEARCH_URL", "opensearch", "http://nobody:secret@127.0.0.1:{port}"),
    ],
)
async def test_status_says_which_store_does_not_answer(shell: Shell, variable: str, name: str, url: str) -> None:
    code, out, err = await shell.run("status", "--json", **{variable: url.format(port=free_port())})
    found: Any = json.loads(out)
    assert code == 1
    assert {part["name"] for part in found["parts"] if part["says"]} == {name}
    assert "secret" not in out + err
    assert "Traceback" not in err


async def test_verify_says_that_an_empty_view_is_behind(stores: Stores, shell: Shell) -> None:
    position = await stores.happened(product(), stock())
    code, out, err = await shell.run("verify", "stock")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert f"0 differences. The view stands at position 0, the log ends at {position}. It is behind" in said
