from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from commandside.event_store.postgres import PostgresEventStore
from counterfoil import wiring
from counterfoil.doctor.examination import Examination, examine
from counterfoil.settings import Settings
from tests.fixtures.ports import free_port
from tests.unit.command_api.shop import CommandShop


class PastClock:
    """Of a shop that was open an hour ago; it stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC) - timedelta(hours=1)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Surgery:
    """A database, a shop that sold from it, and the doctor who comes afterwards."""

    database_url: str
    var: Path
    settings: dict[str, Any] = field(default_factory=dict)
    clock: PastClock = field(default_factory=PastClock)
    # Of the built-in provider: nobody is there, unless a test starts one.
    nobody: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")

    @asynccontextmanager
    async def shop(self, *, is_open_now: bool = False, stock: int = 10) -> AsyncIterator[CommandShop]:
        """Its sweeper does not run: a test has it sweep, or does not."""
        store = wiring.event_store(self._settings())
        clock = (lambda: datetime.now(UTC)) if is_open_now else self.clock
        shop = CommandShop(self.var, clock, stored_in=store, checkout_answer_within_seconds=1.0, **self.settings)
        try:
            async with shop.running():
                await shop.given_product("LAMP", price=1999, stock=stock)
                yield shop
        finally:
            store.close()

    @asynccontextmanager
    async def store(self) -> AsyncIterator[PostgresEventStore]:
        store = wiring.event_store(self._settings())
        try:
            yield store
        finally:
            store.close()

    async def examine(self, **more: Any) -> Examination:
        return await examine(self._settings(**more))

    async def found(self, **more: Any) -> dict[str, int]:
        """How many, by check, of those that found anything."""
        examination = await self.examine(**more)
        return {finding.check.name: finding.count for finding in examination.findings if finding.count}

    def tamper(self, statement: str, *params: object) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            assert connection.execute(statement.encode(), params).rowcount == 1

    def _settings(self, **more: Any) -> Settings:
        given = {"provider_url": self.nobody, "var": self.var, "database_url": self.database_url, **self.settings}
        return Settings(**{**given, **more})


@pytest.fixture
def surgery(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Surgery]:
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield Surgery(database_url, tmp_path / "var")
