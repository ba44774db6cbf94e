"""`python -m ops.stack`, which is `make stack`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests.fixtures.stack import require_stack
from tests.rules.sources import PROJECT

pytestmark = pytest.mark.long
STOP_TIMEOUT_SECONDS = 60
NAMES = ["DATABASE_URL", "REDIS_URL", "KAFKA_URL", "OPENSEARCH_URL"]


def listens(address: str) -> bool:
    split = urlsplit(address if "://" in address else f"kafka://{address}")
    assert split.hostname == "127.0.0.1"
    assert split.port is not None
    try:
        socket.create_connection((split.hostname, split.port), timeout=5).close()
    except OSError:
        return False
    return True


def processes_on(folder: Path) -> list[str]:
    """The command lines that name the folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
    return [line for line in lines if str(folder) in line]


@contextmanager
def stack_on(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`ops.stack`, once it has said where the four servers are; what it says besides is in the folder's `said`."""
    require_stack("kafka")
    require_stack("opensearch")
    command = [sys.executable, "-m", "ops.stack", str(folder)]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=said, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in NAMES]
        addresses = dict(line.removeprefix("export ").strip().replace("'", "").split("=", 1) for line in lines if line)
        assert list(addresses) == NAMES, (folder / "said").read_text()
        yield process, addresses
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def test_it_says_where_the_four_servers_are_and_stops_them_all(tmp_path: Path) -> None:
    with stack_on(tmp_path) as (process, addresses):
        assert {name: listens(address) for name, address in addresses.items()} == dict.fromkeys(NAMES, True)

        process.send_signal(signal.SIGINT)

        assert process.wait(STOP_TIMEOUT_SECONDS) == 0
        assert {name: listens(address) for name, address in addresses.items()} == dict.fromkeys(NAMES, False)
        assert processes_on(tmp_path) == []


def test_it_stops_when_any_of_them_ends_and_says_which_and_is_the_same_the_next_time(tmp_path: Path) -> None:
    with stack_on(tmp_path) as (process, addresses):
        with redis.Redis.from_url(addresses["REDIS_URL"], socket_timeout=5) as valkey:
            os.kill(int(valkey.info("server")["process_id"]), signal.SIGTERM)

        assert process.wait(STOP_TIMEOUT_SECONDS) == 1
        said = (tmp_path / "said").read_text()
        assert "Valkey has ended" in said
        assert "Postgres has ended" not in said
        assert "bye bye" in said, "its last words"
        assert {name: listens(address) for name, address in addresses.items()} == dict.fromkeys(NAMES, False)

    with stack_on(tmp_path) as (process, again):
        assert again == addresses, "ports and passwords stay"
        with psycopg.connect(again["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("SELECT 1")
            (first_line, *_) = (tmp_path / "postgres/cluster/data/postmaster.pid").read_text().splitlines()
        os.kill(int(first_line), signal.SIGINT)

        assert process.wait(STOP_TIMEOUT_SECONDS) == 1
        assert "Postgres has ended" in (tmp_path / "said").read_text()
