"""`counterfoil up`: the servers, the migrations, the parts, and a demo shop where there is nothing yet."""

import asyncio
import contextlib
import hashlib
import http.client
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import private_folder, write_private
from counterfoil.embedded.given import check_database, check_redis
from counterfoil.embedded.journal import Journal, Screen
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.part import Part
from counterfoil.embedded.ports import is_taken
from counterfoil.embedded.postgres import MIGRATED, SEEDED, PostgresServer
from counterfoil.embedded.running import RunningShop, forget, only_supervisor, remember
from counterfoil.embedded.supervisor import Supervisor
from counterfoil.embedded.valkey import ValkeyServer
from counterfoil.settings import Settings

_MIGRATION_TIMEOUT_SECONDS: Final = 300.0
_SEEDING_TIMEOUT_SECONDS: Final = 120.0
_READY_ANSWER_TIMEOUT_SECONDS: Final = 2.0
_PORT_TIMEOUT_SECONDS: Final = 2.0
_PORT_POLL_SECONDS: Final = 0.1
_WATCH_SECONDS: Final = 1.0

# Each part's command, and the setting with its port.
_PARTS: Final = {
    "provider": "provider_port",
    "command-api": "command_port",
    "query-api": "query_port",
    "projector": "projector_port",
}
_MIGRATIONS: Final = Path(__file__).parents[1] / "migrations"
_BEGUN_EMPTY: Final = "begun-empty"
_PROGRAM: Final = (sys.executable, "-m", "counterfoil.part")


async def up(settings: Settings, screen: Screen, *, empty: bool = False, program: tuple[str, ...] = _PROGRAM) -> None:
    """Run the whole shop until SIGTERM, SIGINT or SIGHUP; then stop all of it within 10 s.

    `empty` leaves the demo shop out, now and at every later start on the same data folder.
    `program` is what a part's name is given to, as its argument.
    Raises CannotStartError, which says what to do; whatever had been started is stopped by then.
    """
    running = asyncio.create_task(_run(settings, screen, empty=empty, program=program))
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):  # asked for
        await running


async def _run(settings: Settings, screen: Screen, *, empty: bool, program: tuple[str, ...]) -> None:
    var = private_folder(settings.var)
    with only_supervisor(var):
        await _await_ports(settings)
        shop = _Shop(settings.model_copy(update={"var": var}), screen, program)
        try:
            await shop.run(empty=empty)
        except asyncio.CancelledError:
            screen.print("Stopping …", style="dim")
            raise
        finally:
            await shop.stop()


class _Shop:
    """The parts of one `up`, from the servers that are given or embedded to the page that says where they are."""

    def __init__(self, settings: Settings, screen: Screen, program: tuple[str, ...]) -> None:
        self._program = program
        self._settings = settings
        self._screen = screen
        self._journal = Journal(settings.var / "log", screen)
        self._supervisor = Supervisor(self._journal)
        self._postgres: PostgresServer | None = None

    async def run(self, *, empty: bool) -> None:
        servers = []
        if self._settings.database_url is None:
            self._postgres = postgres = PostgresServer(self._settings.var / "postgres")
            await asyncio.to_thread(postgres.prepare)
            self._settings = self._settings.model_copy(update={"database_url": postgres.url})
            servers.append(Part("postgres", postgres.launch, postgres.is_ready, postgres.advice))
        else:
            await asyncio.to_thread(check_database, self._settings.database_url)
        if self._settings.redis_url is None:
            valkey = ValkeyServer(self._settings.var / "valkey", self._settings.valkey_max_memory_mb)
            await asyncio.to_thread(valkey.prepare)
            self._settings = self._settings.model_copy(update={"redis_url": valkey.url})
            servers.append(Part("valkey", valkey.launch, valkey.is_ready, valkey.advice))
        else:
            await asyncio.to_thread(check_redis, self._settings.redis_url)
        await self._supervisor.start(servers)
        await self._migrate()
        parts = [
            Part(name, partial(self._launch, name), _answers_ready(self._settings, port))
            for name, port in _PARTS.items()
            if name != "provider" or self._settings.embeds_provider
        ]
        seeding = None if self._stays_empty(empty) or self._was_seeded() else asyncio.create_task(self._seed())
        try:
            await self._supervisor.start(parts)
            if seeding is not None:
                await seeding
        finally:
            if seeding is not None:
                seeding.cancel()
                await asyncio.gather(seeding, return_exceptions=True)
        self._welcome()
        known: dict[str, int] = {}
        while True:
            self._supervisor.check()
            if known != (known := self._supervisor.pids):
                self._remember(known)
            await asyncio.sleep(_WATCH_SECONDS)

    async def stop(self) -> None:
        forget(self._settings.var)
        await self._supervisor.stop()
        if self._postgres is not None:
            self._postgres.close()
        self._journal.close()

    async def _migrate(self) -> None:
        """Not again where the embedded cluster says that this release's were run: they are a third of every start."""
        if self._postgres is None:
            await self._supervisor.run("migrate", self._launch("migrate"), _MIGRATION_TIMEOUT_SECONDS)
            return
        done, release = self._postgres.noted(MIGRATED), _release()
        if not done.exists() or done.read_text(encoding="utf-8") != release:
            await self._supervisor.run("migrate", self._launch("migrate"), _MIGRATION_TIMEOUT_SECONDS)
            write_private(done, release)

    def _stays_empty(self, empty: bool) -> bool:
        """A shop that was begun without the demo is never given it, however it is started later."""
        begun_empty = self._settings.var / _BEGUN_EMPTY
        if empty and not begun_empty.exists():
            write_private(begun_empty, "No demo shop. Where this file is removed, an empty shop is given it.\n")
        return begun_empty.exists()

    async def _seed(self) -> None:
        """A demo shop where the log is empty, which `seed-demo` sees for itself. The shop runs without it, too."""
        try:
            await self._supervisor.run("seed-demo", self._launch("seed-demo"), _SEEDING_TIMEOUT_SECONDS)
        except CannotStartError as error:
            self._journal.say("error", "seed-demo", f"The demo shop could not be filled: {error}")
        else:
            if self._postgres is not None:
                write_private(self._postgres.noted(SEEDED), "The log has something in it.\n")

    def _was_seeded(self) -> bool:
        """To look whether the log is empty takes a process, and that as long as a part takes to start."""
        return self._postgres is not None and self._postgres.noted(SEEDED).exists()

    def _launch(self, command: str) -> Launch:
        settings = self._settings
        environment = os.environ | {
            "COUNTERFOIL_VAR": str(settings.var),
            "DATABASE_URL": settings.database_url or "",
            "REDIS_URL": settings.redis_url or "",
            "PYTHONUNBUFFERED": "1",
            # glibc keeps up to eight heaps a core for threads; two are enough for these and half the memory.
            "MALLOC_ARENA_MAX": "2",
        }
        return Launch(command=(*self._program, command), environment=environment)

    def _remember(self, pids: dict[str, int]) -> None:
        settings = self._settings
        remember(
            settings.var,
            RunningShop(
                supervisor_pid=os.getpid(),
                command_url=settings.command_url,
                query_url=settings.query_url,
                provider_url=settings.provider_base_url,
                database_url=settings.database_url or "",
                redis_url=settings.redis_url or "",
                pids=pids,
            ),
        )

    def _welcome(self) -> None:
        settings = self._settings
        self._remember(self._supervisor.pids)
        show = self._screen.print
        show("\n[bold green]The shop is open.[/bold green]  Ctrl-C closes it; the data stays.")
        show(f"  command API   {settings.command_url}/docs", highlight=False, soft_wrap=True)
        show(f"  query API     {settings.query_url}/docs", highlight=False, soft_wrap=True)
        taken_by = "by Stripe" if settings.payments == "stripe" else settings.provider_base_url
        show(f"  payments      {taken_by}", highlight=False)
        show(f"  data and logs {settings.var}", highlight=False, soft_wrap=True)
        show(f"\n  Try:  curl '{settings.query_url}/v1/search?limit=3'\n", highlight=False, soft_wrap=True)


def _release() -> str:
    """Another one whenever a migration is added or changed."""
    digest = hashlib.sha256()
    for path in sorted(_MIGRATIONS.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


async def _await_ports(settings: Settings) -> None:
    """Raises CannotStartError for a port that stays taken; a part of a shop that was just killed frees its own soon."""
    deadline = asyncio.get_running_loop().time() + _PORT_TIMEOUT_SECONDS
    for name, setting in _PARTS.items():
        port: int = getattr(settings, setting)
        while (name != "provider" or settings.embeds_provider) and _taken(settings.host, port, name):
            if asyncio.get_running_loop().time() > deadline:
                raise CannotStartError(
                    f"Port {port} of {settings.host}, for the {name}, is taken by another program. Stop that one, or "
                    f"choose another port: COUNTERFOIL_{setting.upper()}={port + 1_000} make up"
                )
            await asyncio.sleep(_PORT_POLL_SECONDS)


def _taken(host: str, port: int, name: str) -> bool:
    try:
        return is_taken(host, port)
    except OSError as error:
        raise CannotStartError(
            f"The {name} cannot listen on {host} port {port}: {error.strerror or error}. "
            "See COUNTERFOIL_HOST and the COUNTERFOIL_…_PORT settings in docs/running.md."
        ) from error


def _answers_ready(settings: Settings, port_setting: str) -> Callable[[], bool]:
    """Asks GET /readyz of the part on that port."""

    def answers() -> bool:
        connection = http.client.HTTPConnection(
            settings.host, getattr(settings, port_setting), timeout=_READY_ANSWER_TIMEOUT_SECONDS
        )
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return answers
