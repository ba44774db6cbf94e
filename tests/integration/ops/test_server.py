"""A server as a process: whatever happens to it, its address stays and nothing of it is left behind."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from counterfoil.embedded.ports import is_taken
from ops.server import HOST, Kind, Server, ServerFailedError

LISTEN = """
import signal, socket, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    print("listening", flush=True)
    while True:
        listener.accept()[0].close()
"""


def answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def a_server(folder: Path, script: str = LISTEN, *arguments: str, timeout_seconds: float = 30) -> Server:
    def command(_: Path, port: int) -> tuple[str, ...]:
        return (sys.executable, "-c", script, str(port), *arguments)

    kind = Kind("Listener", command, answers)
    return Server(kind, folder, ready_timeout_seconds=timeout_seconds, stop_timeout_seconds=timeout_seconds)


def is_there(pid: int | None) -> bool:
    assert pid is not None
    return Path(f"/proc/{pid}").exists()


def test_it_answers_while_it_runs_and_is_gone_afterwards(tmp_path: Path) -> None:
    with a_server(tmp_path / "new") as server:
        pid, port = server.pid, server.port
        assert answers(port)

    assert server.pid is None
    assert not is_there(pid)
    assert not is_taken(HOST, port)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_is_back_on_its_address(tmp_path: Path, end: str) -> None:
    with a_server(tmp_path) as server:
        address, pid = server.address, server.pid
        getattr(server, end)()
        assert not is_there(pid)

        server.start()

        assert server.pid not in (None, pid)
        assert server.address == address
        assert answers(server.port)


def test_a_later_one_on_the_folder_has_the_address_too(tmp_path: Path) -> None:
    with a_server(tmp_path) as first:
        address = first.address
    with a_server(tmp_path) as second:
        assert second.address == address


def test_where_its_port_is_taken_a_later_one_has_another(tmp_path: Path) -> None:
    with a_server(tmp_path) as first:
        port = first.port
    with socket.create_server((HOST, port)), a_server(tmp_path) as second:
        assert second.port != port


def test_starting_twice_starts_one(tmp_path: Path) -> None:
    with a_server(tmp_path) as server:
        pid = server.pid
        server.start()
        assert server.pid == pid


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    with a_server(tmp_path, LISTEN, "stubborn") as server:
        pid = server.pid
        server.stop_timeout_seconds = 0.5
        server.stop()
        assert not is_there(pid)


def test_one_that_ends_at_its_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    server = a_server(tmp_path, "print('no room'); raise SystemExit(3)")
    with pytest.raises(ServerFailedError, match=r"ended at its start:\n  no room"):
        server.start()


def test_one_that_never_answers_is_killed_and_told(tmp_path: Path) -> None:
    say_pid = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    server = a_server(tmp_path, say_pid, timeout_seconds=3)

    with pytest.raises(ServerFailedError, match="does not answer after 3 s"):
        server.start()

    said = (tmp_path / "server.log").read_text().split()
    assert [pid for pid in said if is_there(int(pid))] == []


def test_it_inherits_nothing_that_would_change_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx8g")
    with a_server(tmp_path) as server:
        environment = Path(f"/proc/{server.pid}/environ").read_bytes().decode().split("\0")
    assert [line for line in environment if line.startswith("JAVA")] == []
    assert f"PATH={os.environ['PATH']}" in environment
