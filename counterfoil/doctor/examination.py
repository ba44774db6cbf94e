"""All checks, one after another, and what each cost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import psycopg

from commandside.event_store import StoreUnavailable
from counterfoil import wiring
from counterfoil.doctor import checkouts, held, provider, read_side
from counterfoil.doctor.findings import Check, Finding, Findings, Trouble
from counterfoil.doctor.log import Log
from counterfoil.stored_form import event_mapper

if TYPE_CHECKING:
    from counterfoil.settings import Settings

UNREADABLE: Final = Check(
    "stream-unreadable",
    "none",
    "Events of this stream cannot be read, or do not follow from one another: it was stored in another form, or "
    "changed by hand. What is the matter with it cannot be told; compare it with a backup.",
)


class CannotLook(Exception):
    """Postgres does not answer, so nothing can be said."""


@dataclass(slots=True)
class Examination:
    """`not_asked` says of what could not be looked at why; `seconds` how long each part took."""

    asked_at: datetime
    findings: list[Finding]
    not_asked: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(finding.count for finding in self.findings)


async def examine(settings: Settings) -> Examination:
    """Reads, and changes nothing. Raises CannotLook."""
    if settings.database_url is None:
        raise CannotLook("there is no database: set DATABASE_URL, or start the shop")
    try:
        mapper, store = event_mapper(settings), wiring.event_store(settings)
    except ValueError as error:
        raise CannotLook(f"the log cannot be read with these settings: {error}") from error
    try:
        async with Log.open(settings.database_url, store, mapper) as log:
            return await _Examiner(settings, log).examine()
    except (psycopg.Error, StoreUnavailable) as error:
        raise CannotLook(f"Postgres does not answer: {error}") from error
    finally:
        store.close()


class _Examiner:
    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._ttl = timedelta(seconds=settings.reservation_ttl_seconds)
        self._receipt_check = held.receipt_check(self._ttl)
        self._findings = Findings([*checkouts.CHECKS, *held.CHECKS, self._receipt_check, UNREADABLE])
        self._seconds: dict[str, float] = {}
        self._not_asked: list[str] = []

    async def examine(self) -> Examination:
        log = self._log
        await self._take_in("checkouts", checkouts.look(log))
        await self._take_in("stock", held.look_at_stock(log))
        await self._take_in("carts", held.look_at_carts(log))
        await self._take_in("receipts", held.look_at_receipts(log, self._receipt_check, self._ttl))
        for stream_id, reason in log.unreadable.items():
            self._findings.note(Trouble(UNREADABLE, f"stream {stream_id}", reason))
        async with self._timed("provider"):
            await self._ask_provider()
        async with self._timed("read side"):
            await self._ask_read_side()
        return Examination(log.now, self._findings.all, self._not_asked, self._seconds)

    async def _take_in(self, part: str, troubles: AsyncIterator[Trouble]) -> None:
        async with self._timed(part):
            async for trouble in troubles:
                self._findings.note(trouble)

    async def _ask_provider(self) -> None:
        if self._settings.payments != "builtin":
            self._not_asked.append("provider: of webhooks that wait, Stripe's own dashboard tells")
            return
        url = self._settings.provider_base_url
        try:
            troubles = await provider.look(url, self._log.now)
        except provider.BooksClosed as error:
            self._not_asked.append(f"provider: {url} {error}")
            return
        self._findings.add_checks(provider.CHECKS)
        for trouble in troubles:
            self._findings.note(trouble)

    async def _ask_read_side(self) -> None:
        if self._settings.kafka_url is None:
            self._not_asked.append("kafka: no KAFKA_URL, so no relay is looked for")
        if self._settings.redis_url is None:
            self._not_asked.append("valkey: no REDIS_URL, so neither views nor dead letters are looked at")
            return
        try:
            troubles, away = await read_side.look(self._settings, self._log.now)
        except read_side.StoreAway as error:
            self._not_asked.append(f"valkey: {error}")
            return
        self._not_asked += away
        self._findings.add_checks(read_side.CHECKS)
        for trouble in troubles:
            self._findings.note(trouble)

    @asynccontextmanager
    async def _timed(self, part: str) -> AsyncIterator[None]:
        began = time.perf_counter()
        yield
        self._seconds[part] = round(time.perf_counter() - began, 3)
