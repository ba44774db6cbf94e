from __future__ import annotations

import math
import threading

import psycopg
from eventsourcing.persistence import OperationalError

# Any number will do that nobody else of this database uses for an advisory lock.
TURN_LOCK = 0x7475726E
WAIT_TIMEOUT_SECONDS = 5


class Turns:
    """Turns among the processes that write: an advisory lock of Postgres, on a connection of its own.

    Postgres gives it in the order in which it was asked for, and takes it back when the connection is gone: a process
    that dies in its turn holds up nobody. One thread at a time: the others wait, so that whoever gives up waiting for a
    turn can have it given back behind the taking.
    """

    def __init__(self, database_url: str, connect_timeout_seconds: float) -> None:
        self._url = database_url
        self._connect_timeout_seconds = max(2, math.ceil(connect_timeout_seconds))
        self._connection: psycopg.Connection | None = None
        self._one_at_a_time = threading.Lock()

    def take(self) -> None:
        """Raises eventsourcing.persistence.OperationalError, also when the turn does not come in time."""
        with self._one_at_a_time:
            try:
                self._lock()
            except psycopg.Error as error:
                self._close()
                raise OperationalError(str(error)) from error

    def leave(self) -> None:
        """A turn that cannot be given back in words is given back by closing the connection."""
        with self._one_at_a_time:
            try:
                if self._connection is not None:
                    self._connection.execute("SELECT pg_advisory_unlock_all()")
            except psycopg.Error:
                self._close()

    def close(self) -> None:
        with self._one_at_a_time:
            self._close()

    def _lock(self) -> None:
        try:
            self._connected().execute("SELECT pg_advisory_lock(%s)", (TURN_LOCK,))
        except psycopg.OperationalError:
            if self._connection is None or not self._connection.broken:
                raise
            # The server ended it since the last turn, which nobody could see until now.
            self._close()
            self._connected().execute("SELECT pg_advisory_lock(%s)", (TURN_LOCK,))

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=self._connect_timeout_seconds
            )
            self._connection.execute(f"SET lock_timeout = '{WAIT_TIMEOUT_SECONDS}s'")
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
