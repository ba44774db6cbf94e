"""A connection of Postgres that the event loop waits for, with nothing between it and libpq."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

_FAILED: Final = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
_BINARY: Final = 1
# Everything asked here finds a few streams in an index. The planner, which knows nothing yet of a log that is new, or
# believes what was true of it an hour ago, would read all of it each time: 8 ms at 60,000 events in place of 0.1.
_PLANNING: Final = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; "
    "SET plan_cache_mode = force_generic_plan; SET jit = off"
)
# What was read is compared under a lock: with what is there then, not with what was when the statement began.
_ISOLATION: Final = "SET default_transaction_isolation = 'read committed'"


class LoopConnection:
    """Prepared statements, one at a time, binary both ways. It is made at its first use, and anew after it broke.

    The append of a batch is what everybody waits for. In a thread, as the library's recorder does it, it would wait for
    the interpreter's lock each time it has something to do: 5 ms, while the loop is busy with others (ADR 12).
    """

    def __init__(
        self, database_url: str, connect_timeout_seconds: int, statement_timeout_seconds: float | None = None
    ) -> None:
        """With a statement timeout the server gives up what takes longer: then it is known that it was not done."""
        self._url = database_url
        self._connect_timeout_seconds = connect_timeout_seconds
        self._session = f"{_PLANNING}; {_ISOLATION}"
        if statement_timeout_seconds is not None:
            self._session += f"; SET statement_timeout = {int(statement_timeout_seconds * 1_000)}"
        self._connection: psycopg.AsyncConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = -1
        self._prepared: dict[str, bytes] = {}
        self._one_at_a_time = asyncio.Lock()
        self._waiting: asyncio.Future[pq.abc.PGresult] | None = None
        self._results: list[pq.abc.PGresult] = []

    async def open(self) -> None:
        """So that what is asked next is sent at once. Raises psycopg.Error."""
        async with self._one_at_a_time:
            await self._connected()

    async def fetch(self, statement: str, *parameters: bytes | None) -> pq.abc.PGresult:
        """`statement` has its parameters as $1, $2 …; it is kept prepared, so there must be few of them.

        Raises psycopg.Error. Given up by its caller in the middle, the connection is closed: its answer is nobody's.
        """
        async with self._one_at_a_time:
            try:
                return await self._fetch(statement, parameters)
            except psycopg.Error:
                if self._connection is not None and self._connection.pgconn.status != pq.ConnStatus.OK:
                    self._forget()
                raise
            except BaseException:
                self._forget()
                raise

    def close(self) -> None:
        """What is waited for breaks. May be called from another thread, and when the loop has ended."""
        loop = self._loop
        if loop is None or not loop.is_running() or asyncio._get_running_loop() is loop:
            self._forget()
        else:
            loop.call_soon_threadsafe(self._forget)

    async def _fetch(self, statement: str, parameters: tuple[bytes | None, ...]) -> pq.abc.PGresult:
        pgconn = (await self._connected()).pgconn
        name = self._prepared.get(statement)
        if name is None:
            name = f"s{len(self._prepared)}".encode()
            await self._answer(lambda: pgconn.send_prepare(name, statement.encode()))
            self._prepared[statement] = name
        formats = [_BINARY] * len(parameters)
        return await self._answer(lambda: pgconn.send_query_prepared(name, parameters, formats, _BINARY))

    async def _answer(self, send: Callable[[], None]) -> pq.abc.PGresult:
        assert self._connection is not None and self._loop is not None
        self._waiting = answer = self._loop.create_future()
        send()
        if self._connection.pgconn.flush():
            self._loop.add_writer(self._socket, self._on_writable)
        result: pq.abc.PGresult = await answer
        if result.status in _FAILED:
            raise error_from_result(result, encoding="utf-8")
        return result

    def _on_writable(self) -> None:
        """It was more than the socket took at once."""
        assert self._connection is not None and self._loop is not None
        try:
            if not self._connection.pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._fail(error)

    def _on_readable(self) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    break
                self._results.append(result)
            else:
                return  # the rest is on its way
        except psycopg.Error as error:
            self._fail(error)
            return
        results, self._results = self._results, []
        if pgconn.status != pq.ConnStatus.OK:
            self._fail(psycopg.OperationalError(pgconn.get_error_message().strip() or "the connection broke"))
        elif results and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(results[-1])

    def _fail(self, error: psycopg.Error) -> None:
        waiting, self._waiting = self._waiting, None
        self._forget()
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=self._connect_timeout_seconds
            )
            try:
                await connection.execute(self._session.encode())
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
            self._loop, self._socket = asyncio.get_running_loop(), connection.pgconn.socket
            self._loop.add_reader(self._socket, self._on_readable)
        return self._connection

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        waiting, self._waiting = self._waiting, None
        self._prepared, self._results = {}, []
        if connection is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._socket)
                self._loop.remove_writer(self._socket)
            connection.pgconn.finish()
        if waiting is not None and not waiting.done():
            waiting.set_exception(psycopg.OperationalError("the connection was closed"))
