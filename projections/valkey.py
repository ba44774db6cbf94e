"""The connection to Valkey (or Redis), bounded in number and time."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer


def open_redis(
    url: str, *, max_connections: int = 16, timeout_seconds: float = 1.0, connect_timeout_seconds: float = 1.0
) -> Redis:
    """A client that speaks bytes; `aclose()` it. Its calls raise redis' ConnectionError and TimeoutError.

    A connection that was closed from the other side (a restart) is replaced once per call, without a pause.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        connection_class=_Connection,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=connect_timeout_seconds,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


class _Connection(Connection):
    """Packs a command in C, as the library's own synchronous connection does: a batch has thousands of arguments."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        packed: list[bytes] = self._serializer.pack(*args)
        return packed
