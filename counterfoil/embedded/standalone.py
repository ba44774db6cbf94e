"""One embedded server by itself, for as long as a block of code lasts: for tests and tools."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.postgres import PostgresServer
from counterfoil.embedded.valkey import ValkeyServer

_READY_TIMEOUT_SECONDS: Final = 30.0
_STOP_TIMEOUT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01
_LAST_LINES_COUNT: Final = 8


@dataclass(frozen=True, slots=True)
class Standing:
    """A server that answered once."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self.process.pid if self.process.poll() is None else None

    def last_words(self) -> str:
        """The end of its log, indented."""
        return _last_words(self.log)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A Postgres on that folder; yields its URL, of an empty database in a new folder. Raises CannotStartError."""
    with standing_postgres(folder) as standing:
        yield standing.url


@contextmanager
def valkey(folder: Path, max_memory_mb: int = 64) -> Iterator[str]:
    """A Valkey on that folder; yields its URL. Raises CannotStartError."""
    with standing_valkey(folder, max_memory_mb) as standing:
        yield standing.url


@contextmanager
def standing_postgres(folder: Path) -> Iterator[Standing]:
    """The same as `postgres`, for those who want to know whether it still runs."""
    server = PostgresServer(folder)
    try:
        with _running("Postgres", server, folder) as standing:
            yield standing
    finally:
        server.close()


@contextmanager
def standing_valkey(folder: Path, max_memory_mb: int) -> Iterator[Standing]:
    """The same as `valkey`, for those who want to know whether it still runs."""
    with _running("Valkey", ValkeyServer(folder, max_memory_mb), folder) as standing:
        yield standing


@contextmanager
def _running(name: str, server: PostgresServer | ValkeyServer, folder: Path) -> Iterator[Standing]:
    server.prepare()
    launch = server.launch()
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(launch.arguments, **launch.options, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while not server.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CannotStartError(f"{launch.command[0]} did not start:\n{_last_words(log)}\n{server.advice()}")
            time.sleep(_POLL_SECONDS)
        yield Standing(name, server.url, process, log)
    finally:
        process.send_signal(launch.stop_signal)
        try:
            process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_TIMEOUT_SECONDS)


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES_COUNT:]
    return "\n".join(f"  {line}" for line in lines) or "  (nothing)"
