"""The Postgres that all contenders of a run share, and fresh databases on it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.postgres import PostgresServer
from counterfoil.processes import migrate
from counterfoil.settings import Settings

# pgbench opens a connection for each of its clients, up to 256.
CONNECTIONS_COUNT: Final = 300
START_TIMEOUT_SECONDS: Final = 60.0
STOP_TIMEOUT_SECONDS: Final = 30.0
STATEMENT_TIMEOUT_SECONDS: Final = 120
POLL_SECONDS: Final = 0.02

_numbers = count(1)


@contextmanager
def server(given_url: str | None) -> Iterator[str]:
    """The URL of a server: the one given, or an embedded one with the settings of the product (fsync on).

    Raises CannotStartError.
    """
    if given_url is not None:
        yield given_url
        return
    with a_folder() as folder, closing(PostgresServer(folder)) as embedded:
        embedded.prepare()
        with running(_with_room(embedded.launch()), folder / "server.log") as process:
            until = time.monotonic() + START_TIMEOUT_SECONDS
            while not embedded.is_ready():
                if process.poll() is not None or time.monotonic() > until:
                    said = (folder / "server.log").read_text(errors="replace")[-2_000:]
                    raise CannotStartError(f"Postgres did not start:\n{said}")
                time.sleep(POLL_SECONDS)
            yield embedded.url


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """A new database with Counterfoil's tables; it is dropped afterwards."""
    name = f"counterfoil_bench_{int(time.time())}_{next(_numbers)}"
    url = with_database(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        with a_folder() as var:
            migrate.main(Settings(database_url=url, var=var))
        yield url
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running(launch: Launch, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is stopped afterwards, whatever happened; what it says goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(launch.arguments, **launch.options, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(launch.stop_signal)
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_SECONDS)


@contextmanager
def a_folder() -> Iterator[Path]:
    """A new folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def with_database(url: str, name: str) -> str:
    """The same server, another database; always of the form postgresql://user:password@host:port/name."""
    info = psycopg.conninfo.conninfo_to_dict(make_conninfo(url))
    password = f":{info['password']}" if info.get("password") else ""
    user = info.get("user", "postgres")
    return f"postgresql://{user}{password}@{info.get('host', '127.0.0.1')}:{info.get('port', 5432)}/{name}"


def _with_room(launch: Launch) -> Launch:
    """As the product starts it, but for the number of connections: of two settings the last one counts."""
    return replace(launch, command=(*launch.command, "-c", f"max_connections={CONNECTIONS_COUNT}"))
