"""A body above the limit is refused as that, however it comes and whoever reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil.http.doors import Bounded

LIMIT_BYTES = 1_000


async def pieces(*pieces_: bytes) -> AsyncIterator[bytes]:
    for piece in pieces_:
        yield piece


async def post(app: ASGIApp, body: AsyncIterator[bytes] | bytes) -> httpx.Response:
    transport = httpx.ASGITransport(Bounded(app, LIMIT_BYTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=10) as client:
        return await client.post("/", content=body)


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def reads_and_makes_its_own_of_it(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await Request(scope, receive).body()
    except Exception:
        await PlainTextResponse("malformed", 400)(scope, receive, send)
        return
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def reads_and_raises_another_error(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await Request(scope, receive).body()
    except Exception as error:
        raise ValueError("not to be read") from error
    await PlainTextResponse(str(len(body)))(scope, receive, send)


READERS = pytest.mark.parametrize("app", [reads, reads_and_makes_its_own_of_it, reads_and_raises_another_error])


@READERS
async def test_what_comes_in_pieces_is_measured_as_it_comes(app: ASGIApp) -> None:
    answer = await post(app, pieces(*[b"x" * 100] * 11))
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Connection"] == "close"
    assert answer.json()["type"] == "/problems/body-too-large"


@READERS
async def test_what_is_announced_is_refused_before_it_comes(app: ASGIApp) -> None:
    assert (await post(app, b"x" * (LIMIT_BYTES + 1))).status_code == 413


@READERS
async def test_up_to_the_limit_it_is_let_in(app: ASGIApp) -> None:
    assert (await post(app, b"x" * LIMIT_BYTES)).text == str(LIMIT_BYTES)
    assert (await post(app, pieces(*[b"x" * 100] * 10))).text == str(LIMIT_BYTES)


async def test_an_error_that_has_nothing_to_do_with_it_is_left_as_it_is() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await post(fails, b"x")


async def test_an_answer_that_has_begun_is_not_answered_twice_and_its_client_is_taken_to_have_gone() -> None:
    last: list[Message] = []

    async def answers_while_it_reads(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (message := await receive()).get("more_body"):
            await send({"type": "http.response.body", "body": b".", "more_body": True})
        last.append(message)

    sent: list[str] = []
    bodies = iter([b"x" * 600, b"x" * 600])

    async def receive() -> Message:
        return {"type": "http.request", "body": next(bodies), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "headers": []}
    await Bounded(answers_while_it_reads, LIMIT_BYTES)(scope, receive, send)
    assert last == [{"type": "http.disconnect"}]
    assert sent == ["http.response.start", "http.response.body"]
