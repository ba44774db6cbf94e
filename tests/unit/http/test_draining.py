"""Who sends more than is let in, and reads only afterwards, gets the answer and no broken pipe."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from counterfoil.http import doors
from counterfoil.http.doors import Bounded

LIMIT_BYTES = 1_000
SENT_BYTES = 10_000_000
PIECE = b"x" * 100_000
TIMEOUT_SECONDS = 10


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    await PlainTextResponse("read")(scope, receive, send)


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """A real server, on whose sockets a broken pipe is one."""
    config = uvicorn.Config(
        Bounded(reads, LIMIT_BYTES), http="httptools", loop="uvloop", log_config=None, lifespan="off"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        serving.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            serving.join(TIMEOUT_SECONDS)
            assert not serving.is_alive()


@pytest.mark.parametrize("head", [f"Content-Length: {SENT_BYTES}", "Transfer-Encoding: chunked"])
def test_the_answer_arrives_after_all_was_sent(head: str) -> None:
    chunked = "chunked" in head
    with serving() as address, socket.create_connection(address, timeout=TIMEOUT_SECONDS) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: shop\r\n{head}\r\n\r\n".encode())
        for _ in range(SENT_BYTES // len(PIECE)):
            client.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        if chunked:
            client.sendall(b"0\r\n\r\n")
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"/problems/body-too-large" in answer


def test_who_asks_first_is_answered_at_once_and_sends_nothing() -> None:
    with serving() as address, socket.create_connection(address, timeout=TIMEOUT_SECONDS) as client:
        head = f"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {SENT_BYTES}\r\nExpect: 100-continue\r\n\r\n"
        began = time.monotonic()
        client.sendall(head.encode())
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
        assert time.monotonic() - began < doors.DRAIN_TIMEOUT_SECONDS
    assert answer.startswith(b"HTTP/1.1 413 ")


class Sender:
    """A client that never comes to an end; `received` bytes were taken from it."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.received = 0
        self.answered: list[Message] = []

    async def receive(self) -> Message:
        if not self._piece:
            await asyncio.Event().wait()  # unbounded: it is the other side that has to end it
        self.received += len(self._piece)
        return {"type": "http.request", "body": self._piece, "more_body": True}

    async def send(self, message: Message) -> None:
        self.answered.append(message)

    async def is_refused(self) -> bool:
        scope = {"type": "http", "headers": [(b"content-length", b"999999999")]}
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await Bounded(reads, LIMIT_BYTES)(scope, self.receive, self.send)
        ended = not self.answered[-1].get("more_body", False)
        return self.answered[0]["status"] == 413 and ended


async def test_only_so_much_is_taken_in() -> None:
    sender = Sender(PIECE)
    assert await sender.is_refused()
    assert doors.DRAIN_LIMIT_BYTES <= sender.received < doors.DRAIN_LIMIT_BYTES + 2 * len(PIECE)


async def test_only_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "DRAIN_TIMEOUT_SECONDS", 0.05)
    assert await Sender(b"").is_refused()


async def test_what_was_sent_whole_is_not_waited_for() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * (LIMIT_BYTES + 1)

    began = time.monotonic()
    transport = httpx.ASGITransport(Bounded(reads, LIMIT_BYTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=10) as client:
        assert (await client.post("/", content=pieces())).status_code == 413
    assert time.monotonic() - began < doors.DRAIN_TIMEOUT_SECONDS
