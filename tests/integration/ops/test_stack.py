"""`python -m ops.stack`, which is `make stack`."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.fixtures.stack import require_stack
from tests.rules.sources import PROJECT

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


def test_it_says_where_the_four_servers_are_and_stops_them_all(tmp_path: Path) -> None:
    require_stack("kafka")
    require_stack("opensearch")
    command = [sys.executable, "-m", "ops.stack", str(tmp_path)]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=said, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in NAMES]
        addresses = dict(line.removeprefix("export ").strip().replace("'", "").split("=", 1) for line in lines if line)
        assert list(addresses) == NAMES, (tmp_path / "said").read_text()
        assert {name: listens(address) for name, address in addresses.items()} == dict.fromkeys(NAMES, True)

        process.send_signal(signal.SIGINT)

        assert process.wait(STOP_TIMEOUT_SECONDS) == 0
        assert {name: listens(address) for name, address in addresses.items()} == dict.fromkeys(NAMES, False)
        assert processes_on(tmp_path) == []
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_SECONDS)
        assert process.stdout is not None
        process.stdout.close()
