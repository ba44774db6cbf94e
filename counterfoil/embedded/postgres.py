"""The embedded Postgres: the log of events, and search, on this machine alone."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import private_folder, write_private
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.ports import remembered_port
from counterfoil.embedded.programs import postgres_major, postgres_programs

_HOST: Final = "127.0.0.1"
_ROLE: Final = "counterfoil"
_DATABASE: Final = "counterfoil"
_NOBODY: Final = 65_534
_SETUP_TIMEOUT_SECONDS: Final = 120
_LEFTOVER_TIMEOUT_SECONDS: Final = 10.0
_PASSWORD_BYTES: Final = 24

# What may be noted of a cluster: the migrations that it has had, and that its log has something in it.
MIGRATED: Final = "migrated"
SEEDED: Final = "seeded"

_OPTIONS: Final = {
    "listen_addresses": _HOST,
    "unix_socket_directories": "",  # the password and 127.0.0.1 are the only way in
    "max_connections": "60",
    # What was acknowledged stays: these are the defaults, said here because the shop's promise rests on them.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Small while idle: no workers that wait, no compiler, no replication.
    "shared_buffers": "64MB",
    "io_method": "sync",
    "jit": "off",
    "max_worker_processes": "2",
    "max_parallel_workers": "2",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "max_wal_size": "512MB",
    "autovacuum": "on",
    "autovacuum_worker_slots": "2",
    "autovacuum_max_workers": "2",
    # A client that died in the middle of a transaction holds its locks for this long at most.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",  # our supervisor keeps the log
    "log_checkpoints": "off",
    # A refused statement is ordinary (a version conflict); its text carries what customers wrote.
    "log_min_error_statement": "panic",
}


class PostgresServer:
    """The server of one folder: `prepare` it once, then start a process as `launch` says and ask `is_ready`.

    In the folder are our own `password`, `port.json` and what is `noted`, and `cluster/`, which belongs to the user
    that Postgres runs as: us, or, where we are root, the owner that the cluster has (65534, "nobody", at first).
    Root's child need not be able to walk to the cluster: it inherits the open folder and reaches it by
    /proc/self/fd, so that no parent folder's permissions are ever loosened.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._cluster = self._folder / "cluster"
        self._data = self._cluster / "data"
        self._user_id: int | None = None
        self._cluster_descriptor: int | None = None
        self._programs = Path()
        self._password = ""
        self._port = 0

    @property
    def url(self) -> str:
        """postgresql://…, with the password; once prepared."""
        return f"postgresql://{_ROLE}:{self._password}@{_HOST}:{self._port}/{_DATABASE}"

    def prepare(self) -> None:
        """Make the cluster where there is none, and look whether the one that is there can be served.

        Takes about a second the first time. Raises CannotStartError, which says what to do.
        """
        private_folder(self._folder)
        if os.geteuid() == 0:
            self._user_id = self._owner()
        _require_name(os.geteuid() if self._user_id is None else self._user_id)
        self._programs = postgres_programs(self._user_id)
        if self._user_id is not None and sys.platform == "linux" and self._cluster_descriptor is None:
            self._cluster_descriptor = os.open(self._cluster, os.O_PATH | os.O_DIRECTORY)
        if self._has_data():
            self._keep_password()
        else:
            for name in (MIGRATED, SEEDED):
                self.noted(name).unlink(missing_ok=True)  # said of a cluster that is no more
            self._initialise()
        self._port = remembered_port(self._folder, _HOST)

    def noted(self, name: str) -> Path:
        """A file that says something of this cluster, and goes when another one is made."""
        return self._folder / name

    def launch(self) -> Launch:
        """How to start it now. Waits for one that is still stopping, for 10 s at most, else raises CannotStartError."""
        self._await_leftover()
        options = [argument for name, value in _OPTIONS.items() for argument in ("-c", f"{name}={value}")]
        return Launch(
            command=(str(self._programs / "postgres"), "-D", self._reach("data"), "-p", str(self._port), *options),
            environment=_ENVIRONMENT,
            folder=Path("/"),
            user_id=self._user_id,
            open_files=self._open_files,
            stop_signal=signal.SIGINT,  # "fast": roll back what is open, write a checkpoint, end
            death_signal=signal.SIGINT,
        )

    def is_ready(self) -> bool:
        """True once it takes connections: the last line of its own pid file, which pg_ctl waits for as well."""
        lines = self._pid_file()
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    def advice(self) -> str:
        """What to tell somebody whose Postgres does not come up."""
        return (
            f"Its data is in {self._data}. If the disk is full, make room; if the data is damaged, put a backup of "
            f"{self._folder} in its place. A shop that may be lost starts anew with another COUNTERFOIL_VAR, or when "
            f"{self._folder.parent} is removed."
        )

    def close(self) -> None:
        """Let go of the open folder; after the process has ended."""
        if self._cluster_descriptor is not None:
            os.close(self._cluster_descriptor)
            self._cluster_descriptor = None

    @property
    def _open_files(self) -> tuple[int, ...]:
        return () if self._cluster_descriptor is None else (self._cluster_descriptor,)

    def _reach(self, name: str) -> str:
        """A path in the cluster's folder as the server's user can reach it."""
        if self._cluster_descriptor is None:
            return str(self._cluster / name)
        return f"/proc/self/fd/{self._cluster_descriptor}/{name}"

    def _owner(self) -> int:
        """The user that the cluster belongs to; makes its folder where there is none."""
        if self._cluster.exists():
            owner = self._cluster.stat().st_uid
            if owner != 0:
                return owner
        nobody = _unprivileged_user()
        try:
            self._cluster.mkdir(mode=0o700, exist_ok=True)
            os.chown(self._cluster, nobody, nobody)
        except OSError as error:
            raise CannotStartError(
                f"Postgres does not run as root, and {self._cluster} cannot be given to user {nobody}: "
                f"{error.strerror}. Run as an ordinary user, or set DATABASE_URL to a running Postgres."
            ) from error
        return nobody

    def _has_data(self) -> bool:
        """False where there is nothing yet. Raises CannotStartError for what this Postgres cannot serve."""
        if not self._data.is_dir() or not any(self._data.iterdir()):
            return False
        version_file = self._data / "PG_VERSION"
        if not version_file.is_file():
            raise CannotStartError(f"{self._data} is damaged: it is not empty, yet has no PG_VERSION. {self.advice()}")
        found = version_file.read_text(encoding="utf-8", errors="replace").strip()
        if found != postgres_major():
            raise CannotStartError(
                f"{self._data} was written by Postgres {found or '(unknown)'}, and this is Postgres "
                f"{postgres_major()}. Start the release of Counterfoil that wrote it, dump the database, and load it "
                "into a new data folder (docs/running.md)."
            )
        return True

    def _initialise(self) -> None:
        """initdb aside and rename, so that an interrupted one leaves nothing that looks like data."""
        self._cluster.mkdir(mode=0o700, exist_ok=True)
        new = self._cluster / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        self._password = secrets.token_urlsafe(_PASSWORD_BYTES)
        password_file = self._cluster / "password.new"
        write_private(password_file, self._password)
        if self._user_id is not None:
            os.chown(password_file, self._user_id, self._user_id)
        try:
            self._run(
                "initdb",
                *("-D", self._reach("data.new"), "-U", _ROLE, f"--pwfile={self._reach('password.new')}"),
                *("--auth=scram-sha-256", "--encoding=UTF8"),
                # The server's own C.UTF-8: an index does not depend on the locale data of the machine it was built on.
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                # Costs a few per cent of writing; a page that the disk spoilt is reported then, never served.
                "--data-checksums",
            )
            self._run_single("data.new", "postgres", f"CREATE DATABASE {_DATABASE}")
        finally:
            password_file.unlink(missing_ok=True)
        write_private(self._folder / "password", self._password + "\n")
        if self._data.is_dir():
            self._data.rmdir()  # empty, as was seen before
        new.rename(self._data)

    def _keep_password(self) -> None:
        """The password of the time of initdb; where its file was lost, the owner of the data may set another."""
        path = self._folder / "password"
        if path.exists():
            self._password = path.read_text(encoding="utf-8").strip()
            return
        self._await_leftover()
        self._password = secrets.token_urlsafe(_PASSWORD_BYTES)
        self._run_single("data", "postgres", f"ALTER ROLE {_ROLE} PASSWORD '{self._password}'")
        write_private(path, self._password + "\n")

    def _run_single(self, data: str, database: str, statement: str) -> None:
        self._run(
            "postgres", "--single", "-j", "-D", self._reach(data), "-c", "io_method=sync", database, input_=statement
        )

    def _run(self, program: str, *arguments: str, input_: str = "") -> None:
        try:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                input=input_,
                cwd="/",
                env=_ENVIRONMENT,
                pass_fds=self._open_files,
                capture_output=True,
                text=True,
                timeout=_SETUP_TIMEOUT_SECONDS,
                check=False,
                user=self._user_id,
                group=self._user_id,
                extra_groups=None if self._user_id is None else [],
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotStartError(f"Postgres's {program} could not be run: {error}. {self.advice()}") from error
        # The single-user server ends with 0 although its statement failed; it says so, though.
        if done.returncode != 0 or any(word in done.stderr for word in ("ERROR:", "FATAL:")):
            last = "\n  ".join(done.stderr.strip().splitlines()[-6:])
            raise CannotStartError(f"Postgres's {program} failed ({done.returncode}):\n  {last}\n{self.advice()}")

    def _pid_file(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _await_leftover(self) -> None:
        """After a kill -9 of ours, our Postgres stops by itself, but not at once; its pid file may stay for good."""
        deadline = time.monotonic() + _LEFTOVER_TIMEOUT_SECONDS
        while (lines := self._pid_file()) and _is_postmaster(int(lines[0]), float(lines[_STARTED_LINE])):
            if time.monotonic() > deadline:
                raise CannotStartError(
                    f"A Postgres (process {lines[0]}) is still running on {self._data}. "
                    f"Stop it with `kill -INT {lines[0]}`, then start again."
                )
            time.sleep(_LEFTOVER_POLL_SECONDS)
        # Postgres itself would take any process that has the number now (after a restart of a container, say) for the
        # one that wrote the file, and refuse to start. Its shared memory still tells it of servers that live.
        (self._data / "postmaster.pid").unlink(missing_ok=True)


# Nothing of ours goes in: a PGPORT or PGDATA of the person's own would change what runs.
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_STARTED_LINE: Final = 2
_STATUS_LINE: Final = 7
_LEFTOVER_POLL_SECONDS: Final = 0.05
_START_TOLERANCE_SECONDS: Final = 60.0


def _unprivileged_user() -> int:
    """65534 where this machine knows it, else whoever is called nobody here."""
    for entry in pwd.getpwall():
        if entry.pw_uid == _NOBODY:
            return _NOBODY
    for entry in pwd.getpwall():
        if entry.pw_name == "nobody" and entry.pw_uid != 0:
            return entry.pw_uid
    return _NOBODY


def _require_name(user_id: int) -> None:
    """Postgres's initdb refuses to work for a user whom the machine has no name for, as in some containers."""
    try:
        pwd.getpwuid(user_id)
    except KeyError as error:
        raise CannotStartError(
            f"Postgres would run as user {user_id}, whom this machine has no name for. Add a line for it to "
            f"/etc/passwd (such as `shop:x:{user_id}:{user_id}::/:/bin/false`), run as another user, or set "
            "DATABASE_URL to a running Postgres."
        ) from error


def _is_postmaster(pid: int, started_at: float) -> bool:
    """True where the process lives, is a Postgres, and began at that time (seconds since 1970)."""
    process = Path("/proc") / str(pid)
    try:
        status = (process / "stat").read_text(encoding="utf-8")
        boot = next(line for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines() if "btime" in line)
    except (FileNotFoundError, ProcessLookupError):
        return False
    name, _, rest = status[status.index("(") + 1 :].rpartition(")")
    fields = rest.split()
    if fields[0] == "Z":
        return False  # ended, and only not yet collected
    began = float(boot.split()[1]) + float(fields[19]) / os.sysconf("SC_CLK_TCK")
    return name.startswith("postgres") and abs(began - started_at) < _START_TOLERANCE_SECONDS
