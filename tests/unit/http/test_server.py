"""The server under both APIs: what it refuses by itself, and how it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from commandside.saga.checkout import HURRIED_SECONDS
from counterfoil.http import serve
from counterfoil.http.problems import FaultsOfOurs
from counterfoil.http.serve import make_server
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.http.apis import browser
from tests.waiting import eventually

TIMEOUT_SECONDS = 20
GRACE_SECONDS = 1
Stop = Callable[[], None]


@asynccontextmanager
async def serving(
    app: ASGIApp, *, stopping: Stop | None = None, grace_seconds: int = GRACE_SECONDS
) -> AsyncIterator[tuple[str, Stop]]:
    """A real server: where it is, and what stops it as SIGTERM does. It has stopped afterwards."""
    server = make_server(app, "127.0.0.1", 0, stopping=stopping, grace_seconds=grace_seconds)

    def stop() -> None:
        server.should_exit = True

    async def started() -> bool:
        return server.started

    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await eventually(started, bool)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", stop
        finally:
            stop()
            await asyncio.wait_for(running, TIMEOUT_SECONDS)


def guest(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)


async def sent(url: str, request: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"FOO / HTTP/1.1\r\nHost: shop\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: shop\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop\r\nX-Odd: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_with_a_problem(request_bytes: bytes) -> None:
    async with serving(Starlette()) as (url, _):
        answer = await sent(url, request_bytes)

    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.splitlines()
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    refused = httpx.Response(int(status_line.split()[1]), headers=headers, content=body)
    assert refused.status_code == 400
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert int(refused.headers["Content-Length"]) == len(body)
    assert refused.headers["Connection"] == "close"
    assert (refused.json()["type"], refused.json()["status"]) == ("/problems/malformed-request", 400)


async def test_what_is_more_than_can_be_answered_is_refused_with_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "CONNECTIONS_LIMIT_COUNT", 2)
    began = asyncio.Event()

    async def waits(_: Request) -> Response:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    app = FaultsOfOurs(Starlette(routes=[Route("/", waits)]))
    async with serving(app) as (url, _), guest(url) as first, guest(url) as second:
        waiting = asyncio.create_task(first.get("/"))
        await began.wait()
        refused = await second.get("/")
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/busy")
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.headers["Retry-After"] == "1"
        # Once there is room again, the same connection is answered.
        waiting.cancel()
        await first.aclose()
        answered = await eventually(lambda: second.get("/nothing"), lambda answer: answer.status_code != 503)
        assert answered.status_code == 404


@pytest.mark.parametrize("path", ["/healthz/", "/v1/cart/", "/v1/orders/", "/v1/cart/items/", "/v1/search/", "/docs/"])
async def test_a_slash_too_many_leads_nowhere(app: FastAPI, path: str) -> None:
    async with browser(app) as client:
        for method in ("GET", "POST", "DELETE"):
            answer = await client.request(method, path, headers={"Host": "elsewhere.example"})
            assert answer.status_code in (404, 405), answer.headers
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert "Location" not in answer.headers


async def test_a_request_that_comes_to_no_end_is_told_so() -> None:
    began = asyncio.Event()

    async def never(_: Request) -> Response:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(FaultsOfOurs(Starlette(routes=[Route("/", never)]))) as (url, stop), guest(url) as client:
        waiting = asyncio.create_task(client.get("/"))
        await began.wait()
        stop()
        answer = await waiting

    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/stopping"
    assert int(answer.headers["Retry-After"]) > 0


async def test_an_answer_that_is_half_sent_is_not_begun_again() -> None:
    began = asyncio.Event()

    async def half(_: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half"
            began.set()
            await asyncio.Event().wait()

        return StreamingResponse(pieces(), headers={"Content-Length": "8"})

    async with serving(FaultsOfOurs(Starlette(routes=[Route("/", half)]))) as (url, stop):
        waiting = asyncio.create_task(sent(url, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"))
        await began.wait()
        stop()
        answer = await waiting

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nhalf")


@pytest.fixture
async def shop(tmp_path: Path) -> CommandShop:
    """On a store and a provider in memory; it runs while it is served. The provider may take a minute."""
    return CommandShop(tmp_path, Clock(), checkout_answer_within_seconds=60)


@asynccontextmanager
async def selling(shop: CommandShop) -> AsyncIterator[tuple[str, Stop]]:
    async with serving(shop.app, stopping=shop.write_side.saga.hurry, grace_seconds=4) as served:
        await shop.given_product("LAMP", stock=10)
        yield served


async def being_authorised(shop: CommandShop, count: int) -> None:
    async def calls_count() -> int:
        return shop.provider.calls.get("authorise", 0)

    await eventually(calls_count, lambda found: found == count)


async def test_checkouts_that_wait_for_the_provider_are_answered_when_the_shop_closes(shop: CommandShop) -> None:
    clock = asyncio.get_running_loop().time
    async with selling(shop) as (url, stop), guest(url) as one, guest(url) as other:
        await fill_cart(one)
        await fill_cart(other)
        waiting = [asyncio.create_task(check_out(client, "k", "tok_slow_50000")) for client in (one, other)]
        await being_authorised(shop, 2)
        stop()
        stopped_at = clock()
        answers = await asyncio.gather(*waiting)
        assert clock() - stopped_at < HURRIED_SECONDS + 1.5

    for answer in answers:
        assert (answer.status_code, answer.json()["status"]) == (202, "pending_payment")
        assert answer.headers["Location"].endswith(f"/v1/orders/{answer.json()['order_id']}")


async def test_what_the_provider_says_within_a_second_of_that_still_counts(shop: CommandShop) -> None:
    async with selling(shop) as (url, stop), guest(url) as client:
        await fill_cart(client)
        waiting = asyncio.create_task(check_out(client, "k", "tok_slow_300"))
        await being_authorised(shop, 1)
        stop()
        answer = await waiting

    assert (answer.status_code, answer.json()["status"]) == (201, "placed")
