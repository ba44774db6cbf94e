"""A server that answers as a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import msgspec

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Script:
    """A server that gives its answers one after another, the last one for ever; keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[Request] = []
        self.connections_count = 0
        self._answers = list(answers)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_count += 1
        try:
            while not writer.is_closing():
                self.requests.append(await _request(reader))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client hung up
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(method, target, headers, await reader.readexactly(int(headers.get("Content-Length", "0"))))


def says(status: int, body: object = None, *, raw: bytes | None = None, headers: str = "") -> Answer:
    content = msgspec.json.encode(body) if raw is None else raw
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(content)}\r\n{headers}\r\n"

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + content)
        await writer.drain()

    return answer


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def is_cut_short(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"status":')
    writer.close()


async def speaks_no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
    writer.close()


async def keeps_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client hangs up


def dribbles(begin: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while not reader.at_eof():
            writer.write(b"x")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.005):
                    await reader.read()

    return answer
