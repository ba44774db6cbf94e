"""The proxy that other tests break connections with does what they tell it to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.fixtures.flaky_proxy import FlakyProxy

PROMPT_SECONDS = 20
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[FlakyProxy]:
    """Before a server that says what it is told."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1_024):
                writer.write(data)
        except ConnectionError:
            return  # that is what some of the tests are about
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with FlakyProxy(f"http://ada:secret@127.0.0.1:{port}/x") as proxy, asyncio.timeout(PROMPT_SECONDS):
        yield proxy
    server.close()


@asynccontextmanager
async def connected(proxy: FlakyProxy) -> AsyncIterator[Connection]:
    url = urlsplit(proxy.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.fixture
async def connection(proxy: FlakyProxy) -> AsyncIterator[Connection]:
    """One that has been used."""
    async with connected(proxy) as connection:
        assert await ask(connection, b"hello") == b"hello"
        yield connection


async def ensure_it_works(proxy: FlakyProxy) -> None:
    async with connected(proxy) as connection:
        assert await ask(connection, b"hello") == b"hello"


async def ask(connection: Connection, what: bytes) -> bytes:
    connection[1].write(what)
    return await connection[0].read(1_024)


async def test_its_address_is_the_servers_but_for_the_port(proxy: FlakyProxy) -> None:
    url = urlsplit(proxy.url)
    assert (url.scheme, url.username, url.password, url.path) == ("http", "ada", "secret", "/x")


async def test_a_connection_is_reset(proxy: FlakyProxy, connection: Connection) -> None:
    assert proxy.cut(reset=True) == 1
    with pytest.raises(ConnectionResetError):
        await connection[0].read()


async def test_a_connection_is_ended(proxy: FlakyProxy, connection: Connection) -> None:
    assert proxy.cut(reset=False) == 1
    assert await connection[0].read() == b""


async def test_an_answer_is_lost_in_part(proxy: FlakyProxy, connection: Connection) -> None:
    proxy.lose_answers(1, kept_bytes=3)
    assert await ask(connection, b"goodbye") == b"goo"
    assert await connection[0].read() == b""
    await proxy.answers_lost()
    await ensure_it_works(proxy)


async def test_no_answer_is_kept_whole(proxy: FlakyProxy, connection: Connection) -> None:
    proxy.lose_answers(1, kept_bytes=1_000)
    assert await ask(connection, b"goodbye") == b"goodby"


async def test_nothing_comes_through_while_it_is_frozen(proxy: FlakyProxy, connection: Connection) -> None:
    proxy.freeze()
    asking = asyncio.create_task(ask(connection, b"again"))
    done, _ = await asyncio.wait([asking], timeout=0.1)
    assert not done
    proxy.thaw()
    assert await asking == b"again"


async def test_it_is_refused_while_it_is_away(proxy: FlakyProxy) -> None:
    await ensure_it_works(proxy)
    await proxy.go_away()
    with pytest.raises(ConnectionRefusedError):
        await ensure_it_works(proxy)
    await proxy.come_back()
    await ensure_it_works(proxy)


async def test_whoever_comes_while_it_goes_away_is_hung_up_on(proxy: FlakyProxy) -> None:
    """And not forgotten: a connection that nobody closes is a warning, and so a failure of this test."""

    async def come_again_and_again() -> None:
        while True:
            with suppress(OSError):
                async with connected(proxy) as connection:
                    await ask(connection, b"hello")
            await asyncio.sleep(0)

    coming = [asyncio.create_task(come_again_and_again()) for _ in range(20)]
    for _ in range(200):
        await asyncio.to_thread(time.sleep, 0.001)  # whose end may fall between a connection and its beginning
        await proxy.go_away()
        await proxy.come_back()
    for task in coming:
        task.cancel()
    await asyncio.gather(*coming, return_exceptions=True)


async def test_it_is_met_when_the_server_has_answered_and_nobody_has_heard(
    proxy: FlakyProxy, connection: Connection
) -> None:
    heard: list[bytes] = []

    async def meet() -> None:
        assert heard == []
        proxy.lose_answers(1)

    async with proxy.meeting_an_answer(meet) as met:
        heard.append(await ask(connection, b"again"))
        await met.wait()
    assert heard == [b""]


async def test_where_no_server_listens_the_connection_breaks() -> None:
    async with FlakyProxy("http://127.0.0.1:1") as proxy, connected(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PROMPT_SECONDS)
