from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from types import TracebackType
from typing import Self

from psycopg import conninfo

CHUNK_BYTES = 65_536


class FlakyProxy:
    """Stands between a client and Postgres, and loses an answer, hangs or goes away when it is told to."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._info = conninfo.conninfo_to_dict(database_url)
        self._links: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._answers_to_lose_count = 0
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thaw()
        await self.go_away()

    @property
    def url(self) -> str:
        return conninfo.make_conninfo(self._database_url, host="127.0.0.1", port=self._port)

    def lose_answers(self, count: int) -> None:
        """The next answers do not arrive: the connection breaks instead, when the server has done its work."""
        self._answers_to_lose_count = count

    def freeze(self) -> None:
        """Nothing comes through any more, in either direction, and nothing breaks."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def go_away(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            for end in self._ends:
                end.transport.abort()
            await asyncio.gather(*self._links)

    async def come_back(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        server, to_server = await asyncio.open_connection(str(self._info["host"]), int(str(self._info["port"])))
        self._ends |= {to_client, to_server}
        try:
            await asyncio.gather(self._ask(client, to_server), self._answer(server, to_client))
        finally:
            self._ends -= {to_client, to_server}
            self._links.discard(link)

    async def _ask(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError), closing(to_server):
            while data := await client.read(CHUNK_BYTES):
                await self._thawed.wait()
                to_server.write(data)
                await to_server.drain()

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError), closing(to_client):
            while data := await server.read(CHUNK_BYTES):
                await self._thawed.wait()
                if self._answers_to_lose_count > 0:
                    self._answers_to_lose_count -= 1
                    return
                to_client.write(data)
                await to_client.drain()
