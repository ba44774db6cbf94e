"""The embedded Valkey: private, bounded, and durable enough for what it holds."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest
import redis

from counterfoil.embedded import standalone
from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.valkey import ValkeyServer


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=5)


def process_id(url: str) -> int:
    with client(url) as valkey:
        return int(valkey.info("server")["process_id"])


def test_it_takes_nobody_without_the_password_and_listens_on_this_machine_only(tmp_path: Path) -> None:
    with standalone.valkey(tmp_path) as url:
        with client(re.sub(r":[^:@]+@", "", url)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with client(url) as ours:
            assert ours.config_get("bind")["bind"] == "127.0.0.1"
    assert (tmp_path / "valkey.conf").stat().st_mode & 0o077 == 0


def test_the_password_stays_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    with standalone.valkey(tmp_path) as first:
        pass
    with standalone.valkey(tmp_path) as again, client(first) as valkey:
        assert again == first
        assert valkey.ping()
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    (tmp_path / "password").write_text("requirepass\n")  # damaged
    with standalone.valkey(tmp_path) as another, client(another) as valkey:
        assert another != first
        assert valkey.ping()


def test_what_was_written_survives_a_stop_and_a_kill(tmp_path: Path) -> None:
    with standalone.valkey(tmp_path) as url, client(url) as valkey:
        valkey.set("view", "1")
    with standalone.valkey(tmp_path) as url:
        with client(url) as valkey:
            valkey.set("checkpoint", "2")
        os.kill(process_id(url), signal.SIGKILL)
    with standalone.valkey(tmp_path) as url, client(url) as valkey:
        assert valkey.mget("view", "checkpoint") == [b"1", b"2"]


def test_when_it_is_full_writing_fails_and_nothing_is_evicted(tmp_path: Path) -> None:
    with standalone.valkey(tmp_path, max_memory_mb=4) as url, client(url) as valkey:
        written = 0
        with pytest.raises(redis.OutOfMemoryError):
            for written in range(1_000):  # 10 MB into 4
                valkey.set(f"view:{written}", b"x" * 10_000)
        assert 0 < written < 500
        assert valkey.dbsize() == written


def test_a_taken_port_is_left_to_the_one_who_has_it(tmp_path: Path) -> None:
    with standalone.valkey(tmp_path) as url:
        before = int(url.rsplit(":", 1)[1].split("/")[0])
    with socket.create_server(("127.0.0.1", before)):
        with standalone.valkey(tmp_path) as url, client(url) as valkey:
            assert valkey.ping()
        assert f":{before}/" not in url


def test_a_file_that_ends_in_the_middle_of_a_write_is_loaded_up_to_there(tmp_path: Path) -> None:
    with standalone.valkey(tmp_path) as url, client(url) as valkey:
        valkey.set("first", "1")
        valkey.set("second", "2")
    (appended,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    os.truncate(appended, appended.stat().st_size - 3)
    with standalone.valkey(tmp_path) as url, client(url) as valkey:
        assert valkey.mget("first", "second") == [b"1", None]


def test_when_it_refuses_its_file_the_message_says_that_it_can_be_thrown_away(tmp_path: Path) -> None:
    with standalone.valkey(tmp_path) as url, client(url) as valkey:
        for number in range(100):
            valkey.set(f"view:{number}", "x" * 100)
    (appended,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    with appended.open("r+b") as file:
        file.seek(500)
        file.write(b"?" * 300)
    with (
        pytest.raises(CannotStartError, match=r"(?s)[Bb]ad file format.*remove that folder"),
        standalone.valkey(tmp_path),
    ):
        pytest.fail("it started")


def test_it_is_not_ready_before_it_runs(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, max_memory_mb=16)
    server.prepare()
    assert not server.is_ready()
