"""One embedded server by itself, for as long as a block of code lasts: for tests and tools."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.postgres import PostgresServer
from counterfoil.embedded.valkey import ValkeyServer

_READY_TIMEOUT_SECONDS: Final = 30.0
_STOP_TIMEOUT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A Postgres on that folder; yields its URL, of an empty database in a new folder. Raises CannotStartError."""
    server = PostgresServer(folder)
    try:
        with _running(server, folder):
            yield server.url
    finally:
        server.close()


@contextmanager
def valkey(folder: Path, max_memory_mb: int = 64) -> Iterator[str]:
    """A Valkey on that folder; yields its URL. Raises CannotStartError."""
    server = ValkeyServer(folder, max_memory_mb)
    with _running(server, folder):
        yield server.url


@contextmanager
def _running(server: PostgresServer | ValkeyServer, folder: Path) -> Iterator[None]:
    server.prepare()
    launch = server.launch()
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(launch.arguments, **launch.options, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while not server.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n  ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
                raise CannotStartError(f"{launch.command[0]} did not start:\n  {last}\n{server.advice()}")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        process.send_signal(launch.stop_signal)
        try:
            process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_TIMEOUT_SECONDS)
