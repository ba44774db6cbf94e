"""The supervisor over real servers and stand-in parts: starting, noticing, restarting, stopping, and saying why not."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from counterfoil.embedded import standalone
from counterfoil.embedded.running import NotRunningError, connected, find_running
from counterfoil.settings import Settings
from tests.fixtures.ports import free_port
from tests.machine import ensure_a_quick_start

STAND_IN = Path(__file__).with_name("stand_in_shop.py")
ROOT = Path(__file__).parents[2]
PARTS = ("postgres", "valkey", "command-api", "query-api", "provider", "projector")
UP_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 40
START_LIMIT_SECONDS = 5


class Shop:
    """`counterfoil up` with stand-in parts, on a data folder and ports of its own."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.environment = {name: value for name, value in os.environ.items() if "_URL" not in name} | {
            "COUNTERFOIL_VAR": str(var),
            "PYTHONPATH": str(ROOT),
            **{f"COUNTERFOIL_{part}_PORT": str(free_port()) for part in ("COMMAND", "QUERY", "PROVIDER", "PROJECTOR")},
        }
        self.process: subprocess.Popen[str] | None = None
        self.output = var.parent / f"{var.name}.output"

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, STAND_IN, "up", *arguments],
                env=self.environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return self.process

    def open(self, *arguments: str, **environment: str) -> None:
        process = self.begin(*arguments, **environment)
        wait_until(lambda: "  Try:  curl" in self.said or process.poll() is not None, UP_TIMEOUT_SECONDS)
        assert process.poll() is None, self.said

    def refuse(self, **environment: str) -> str:
        """Start it expecting a refusal; returns what it said."""
        process = self.begin(**environment)
        assert process.wait(UP_TIMEOUT_SECONDS) == 1, self.said
        assert "Traceback" not in self.said
        return self.said

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(sign)
        return self.process.wait(STOP_TIMEOUT_SECONDS)

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def pids(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.var / "runtime.json").read_text())["pids"]
        return found

    def starts(self, part: str) -> list[str]:
        path = self.var / "starts" / part
        return path.read_text().splitlines() if path.exists() else []

    @property
    def journal(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.var / "log/supervisor.log").read_text().splitlines()]

    def settings(self) -> Settings:
        return Settings(var=self.var)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "var")
    yield shop
    if shop.process is not None and shop.process.poll() is None:
        shop.process.kill()
        shop.process.wait(10)


def wait_until(condition: Callable[[], bool], timeout_seconds: float = UP_TIMEOUT_SECONDS) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_it_opens_says_where_and_stops_within_ten_seconds_leaving_nothing(shop: Shop) -> None:
    shop.open()
    pids = shop.pids
    assert set(pids) == set(PARTS)
    assert "curl 'http://127.0.0.1:" in shop.said
    for name in ("runtime.json", "secrets.json"):
        assert stat.S_IMODE((shop.var / name).stat().st_mode) == 0o600

    running = find_running(shop.settings())
    with psycopg.connect(running.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(running.redis_url, socket_timeout=5) as valkey:
        assert valkey.ping()
    # The parts were told the same addresses, and the migrations and the seeding ran once, before and beside them.
    told = f"{running.database_url} {running.redis_url}"
    assert all(shop.starts(part)[-1].endswith(told) for part in ("migrate", "seed-demo", "command-api", "projector"))

    began = time.monotonic()
    assert shop.stop() == 0
    assert time.monotonic() - began < 10
    assert not [part for part, pid in pids.items() if lives(pid)]
    with pytest.raises(NotRunningError, match="make up"):
        find_running(shop.settings())


def test_ctrl_c_stops_it_as_well(shop: Shop) -> None:
    shop.open("--empty")
    pids = shop.pids
    assert shop.starts("seed-demo") == []
    assert shop.stop(signal.SIGINT) == 0
    assert not [part for part, pid in pids.items() if lives(pid)]


def test_a_shop_that_was_begun_empty_stays_so(shop: Shop) -> None:
    shop.open("--empty")
    shop.stop()
    shop.open()
    assert shop.stop() == 0
    assert shop.starts("seed-demo") == []
    # Unless somebody changes their mind
    (shop.var / "begun-empty").unlink()
    shop.open()
    assert len(shop.starts("seed-demo")) == 1
    assert shop.stop() == 0


def test_on_the_same_data_it_opens_again_within_five_seconds_at_the_same_addresses(shop: Shop) -> None:
    shop.open()
    with psycopg.connect(find_running(shop.settings()).database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    before, secrets = find_running(shop.settings()), shop.settings().jwt_secret
    shop.stop()
    ensure_a_quick_start(START_LIMIT_SECONDS, shop.open, shop.stop)
    after = find_running(shop.settings())
    assert after.database_url == before.database_url
    assert shop.settings().jwt_secret == secrets
    with psycopg.connect(after.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)


@pytest.mark.long
def test_migrations_run_once_for_each_release_and_cluster(shop: Shop) -> None:
    shop.open()
    shop.stop()
    shop.open()
    shop.stop()
    assert len(shop.starts("migrate")) == 1
    # Another release
    (shop.var / "postgres/migrated").write_text("an older one")
    shop.open()
    shop.stop()
    assert len(shop.starts("migrate")) == 2
    # Another cluster
    shutil.rmtree(shop.var / "postgres/cluster")
    shop.open()
    shop.stop()
    assert len(shop.starts("migrate")) == 3


def test_failed_migrations_are_run_again_the_next_time(shop: Shop) -> None:
    (shop.var / "break").mkdir(parents=True)
    (shop.var / "break/migrate").touch()
    shop.refuse()
    (shop.var / "break/migrate").unlink()
    shop.open()
    assert len(shop.starts("migrate")) == 2
    assert shop.stop() == 0


def test_each_part_that_is_killed_is_noticed_logged_and_started_again(shop: Shop) -> None:
    shop.open()
    for part in PARTS:
        before = shop.pids[part]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda part=part, before=before: shop.pids.get(part) not in (None, before))  # type: ignore[misc]
        wait_until(lambda part=part: re.search(rf"{part} +back", shop.said) is not None)  # type: ignore[misc]
        ends = [entry for entry in shop.journal if entry["part"] == part and entry["level"] == "error"]
        assert [entry["ends_count"] for entry in ends] == [1]
        assert "ended by SIGKILL" in str(ends[0]["event"])
    running = find_running(shop.settings())
    with psycopg.connect(running.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(running.redis_url, socket_timeout=5) as valkey:
        assert valkey.ping()
    assert shop.stop() == 0


def test_when_the_supervisor_is_killed_nothing_survives_it_and_the_next_one_starts(shop: Shop) -> None:
    shop.open()
    pids = shop.pids
    shop.stop(signal.SIGKILL)
    wait_until(lambda: not any(lives(pid) for pid in pids.values()))
    with pytest.raises(NotRunningError):
        find_running(shop.settings())
    shop.open()
    assert not set(shop.pids.values()) & set(pids.values())
    assert shop.stop() == 0


def test_after_a_kill_of_everything_it_starts_at_once(shop: Shop) -> None:
    shop.open()
    assert shop.process is not None
    for pid in [shop.process.pid, *shop.pids.values()]:
        with contextlib.suppress(ProcessLookupError):  # the supervisor's end took it along
            os.kill(pid, signal.SIGKILL)
    shop.process.wait(10)
    shop.open()
    assert shop.stop() == 0


def test_a_part_that_never_comes_up_closes_the_shop_with_its_last_words(shop: Shop) -> None:
    (shop.var / "break").mkdir(parents=True)
    (shop.var / "break/query-api").touch()
    said = shop.refuse()
    assert "query-api ended 3 times before it was ready" in said
    assert "the query-api is broken on purpose" in said
    assert "ended with exit code 7" in said
    assert len(shop.starts("query-api")) >= 3
    others = [int(line.split()[0]) for part in PARTS for line in shop.starts(part)]
    assert others
    assert not any(lives(pid) for pid in others)


def test_failed_migrations_close_the_shop_before_any_part_starts(shop: Shop) -> None:
    (shop.var / "break").mkdir(parents=True)
    (shop.var / "break/migrate").touch()
    said = shop.refuse()
    assert "migrate ended with exit code 7" in said
    assert "the migrate is broken on purpose" in said
    assert shop.starts("command-api") == []


@pytest.mark.long
def test_whether_the_log_is_empty_is_asked_once_for_each_cluster(shop: Shop) -> None:
    for _ in range(2):
        shop.open()
        assert shop.stop() == 0
    assert len(shop.starts("seed-demo")) == 1
    # Another cluster
    shutil.rmtree(shop.var / "postgres/cluster")
    shop.open()
    assert shop.stop() == 0
    assert len(shop.starts("seed-demo")) == 2


def test_a_demo_that_fails_is_told_and_the_shop_is_open_all_the_same(shop: Shop) -> None:
    (shop.var / "break").mkdir(parents=True)
    (shop.var / "break/seed-demo").touch()
    shop.open()
    assert "The demo shop could not be filled" in shop.said
    assert shop.stop() == 0
    # It is tried again, and then no more
    (shop.var / "break/seed-demo").unlink()
    for _ in range(2):
        shop.open()
        assert shop.stop() == 0
    assert len(shop.starts("seed-demo")) == 2


def test_a_second_shop_on_the_same_folder_is_refused_and_the_first_goes_on(shop: Shop) -> None:
    shop.open()
    second = Shop(shop.var)
    second.output = shop.var.parent / "second.output"
    assert shop.process is not None
    said = second.refuse()
    assert f"Another shop (process {shop.process.pid}) runs on {shop.var}" in said.replace("\n", " ")
    assert find_running(shop.settings()).supervisor_pid == shop.process.pid
    assert shop.stop() == 0


def test_a_taken_port_is_named_with_the_variable_that_changes_it(shop: Shop) -> None:
    with taken_port() as port:
        said = shop.refuse(COUNTERFOIL_QUERY_PORT=str(port))
    assert f"Port {port}" in said
    assert f"COUNTERFOIL_QUERY_PORT={port + 1_000}" in said
    assert not (shop.var / "postgres").exists(), "nothing was started"


def test_a_host_that_is_not_this_machine_is_named(shop: Shop) -> None:
    assert "COUNTERFOIL_HOST" in shop.refuse(COUNTERFOIL_HOST="203.0.113.1")


def test_a_data_folder_that_cannot_be_made_is_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Choose another one with COUNTERFOIL_VAR" in shop.refuse(COUNTERFOIL_VAR=str(tmp_path / "file/var"))


def test_a_damaged_data_folder_stops_the_start_with_advice(shop: Shop) -> None:
    data = shop.var / "postgres/cluster/data"
    data.mkdir(parents=True)
    (data / "something").touch()
    assert "is damaged" in shop.refuse()
    assert (data / "something").exists()


def test_given_servers_are_used_and_no_others_started(shop: Shop, tmp_path: Path) -> None:
    with (
        standalone.postgres(tmp_path / "postgres") as database_url,
        standalone.valkey(tmp_path / "valkey") as redis_url,
    ):
        shop.open(DATABASE_URL=database_url, REDIS_URL=redis_url)
        assert set(shop.pids) == set(PARTS) - {"postgres", "valkey"}
        assert shop.starts("command-api")[-1].endswith(f"{database_url} {redis_url}")
        found = connected(shop.settings())
        assert (found.database_url, found.redis_url) == (database_url, redis_url)
        assert shop.stop() == 0
    assert not (shop.var / "postgres").exists()


@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
def test_a_given_server_that_does_not_answer_is_named_without_its_password(shop: Shop, variable: str) -> None:
    kind = "postgresql" if variable == "DATABASE_URL" else "redis"
    said = shop.refuse(**{variable: f"{kind}://somebody:hushhush@127.0.0.1:{free_port()}/0"})
    assert f"unset {variable}" in said
    assert "hushhush" not in said


def test_a_stop_while_it_is_still_starting_leaves_nothing(shop: Shop) -> None:
    shop.begin()
    wait_until((shop.var / "postgres/port.json").exists)
    assert shop.stop() == 0
    data = shop.var / "postgres/cluster/data"
    wait_until(lambda: not (data / "postmaster.pid").exists())
