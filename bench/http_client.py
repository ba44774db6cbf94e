"""A client of HTTP/1.1 on one connection that stays open: light, for it shares the cores."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, NamedTuple, Self

CONNECT_TIMEOUT_SECONDS: Final = 10.0
ANSWER_TIMEOUT_SECONDS: Final = 30.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes


class HttpClient(asyncio.Protocol):
    """One request at a time. Answers must say how long they are."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None

    @classmethod
    async def connect(cls, host: str, port: int) -> Self:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            _, client = await asyncio.get_running_loop().create_connection(cls, host, port)
        return client

    async def ask(self, request: bytes) -> Answer:
        """Raises ConnectionError, TimeoutError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        timer = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT_SECONDS, self._give_up)
        try:
            return await self._answer
        finally:
            timer.cancel()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(received, 0, end)
        body_length = int(length[1]) if length else 0
        if len(received) < end + 4 + body_length:
            return
        self._received = b""
        answer = Answer(int(received[9:12]), received[:end], received[end + 4 : end + 4 + body_length])
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"closed before the answer: {exc}"))

    def _give_up(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(TimeoutError(f"no answer within {ANSWER_TIMEOUT_SECONDS} s"))


def post(host: str, path: str, body: bytes, *headers: bytes) -> bytes:
    """The bytes of a request."""
    lines = [
        f"POST {path} HTTP/1.1".encode(),
        f"Host: {host}".encode(),
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
