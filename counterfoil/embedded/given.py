"""Servers that are given (DATABASE_URL, REDIS_URL): looked at before anything is started.

The client libraries are imported only here: a shop on embedded servers keeps its supervisor small without them.
"""

from typing import Final
from urllib.parse import urlsplit

from counterfoil.embedded.errors import CannotStartError

_CONNECT_TIMEOUT_SECONDS: Final = 5


def check_database(url: str) -> None:
    """Raises CannotStartError where Postgres does not answer there."""
    import psycopg  # noqa: PLC0415

    try:
        psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_SECONDS).close()
    except psycopg.Error as error:
        raise CannotStartError(
            f"DATABASE_URL names the Postgres at {_place(url)}, which does not take us: {error}\n"
            "Start it, correct the URL, or unset DATABASE_URL to use the embedded one."
        ) from error


def check_redis(url: str) -> None:
    """Raises CannotStartError where Redis or Valkey does not answer there."""
    import redis  # noqa: PLC0415

    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS, socket_timeout=_CONNECT_TIMEOUT_SECONDS
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise CannotStartError(
            f"REDIS_URL names the Redis at {_place(url)}, which does not take us: {error}\n"
            "Start it, correct the URL, or unset REDIS_URL to use the embedded one."
        ) from error


def _place(url: str) -> str:
    """Where the URL points, without its password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "(no host)"
