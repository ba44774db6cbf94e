"""What is fed beside the views, in one process or by workers: the counters of signals, and customers' letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from counterfoil.embedded.errors import CannotStartError
from projections.view_projection import Streams
from streams.dead_letters import RedisDeadLetters
from streams.notifications import projection as notifications
from streams.notifications.directory import TemplateDirectory
from streams.notifications.notifier import CustomerDirectory, Notifier
from streams.notifications.outbox import Outbox
from streams.notifications.postman import Postman, PostmanMetrics, Rounds
from streams.notifications.projection import NotificationProjection
from streams.notifications.smtp import SmtpNotifier
from streams.signals import sales_projection as sales
from streams.signals.sales_projection import SalesProjection
from streams.single_feed import SingleFeed
from streams.status import log_end

if TYPE_CHECKING:
    from counterfoil.settings import Settings

GOODBYE_SECONDS = 3.0
Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mail:
    """How customers are written to. Of what is older than `history` nobody is told."""

    notifier: Notifier
    directory: CustomerDirectory
    history: timedelta
    metrics: PostmanMetrics
    rounds: Rounds = field(default_factory=Rounds)


def mail(settings: Settings, registry: CollectorRegistry) -> Mail | None:
    """None where no mail server is set, which the log is told. Raises CannotStartError for settings that cannot be."""
    if settings.smtp_url is None or settings.mail_from is None or settings.mail_to_template is None:
        _log.info("notifications_are_off", because="COUNTERFOIL_SMTP_URL is not set")
        return None
    try:
        return Mail(
            SmtpNotifier(settings.smtp_url.get_secret_value(), settings.mail_from),
            TemplateDirectory(settings.mail_to_template),
            timedelta(hours=settings.mail_history_hours),
            PostmanMetrics(registry),
        )
    except ValueError as error:
        raise CannotStartError(f"Customers cannot be written to: {error}.") from error


def feeds_of_orders(client: Redis, streams: Streams, pool: Pool, mail: Mail | None) -> list[SingleFeed]:
    """Those that follow the orders' events."""

    def count_sales(partition: str) -> SalesProjection:
        return SalesProjection(client, streams, now, partition=partition)

    async def end() -> int:
        async with pool.connection() as connection:
            return await log_end(connection)

    feeds = [SingleFeed(client, sales.NAME, count_sales)]
    if mail is not None:
        history = mail.history

        def notify(partition: str) -> NotificationProjection:
            return NotificationProjection(client, streams, end, now, history, partition=partition)

        async def settle_since() -> None:
            await Outbox(client).settle_since(end)

        feeds.append(SingleFeed(client, notifications.NAME, notify, settle_since))
    return feeds


@asynccontextmanager
async def posting(client: Redis, streams: Streams, mail: Mail | None) -> AsyncIterator[None]:
    """A postman goes round until the end of the context, where there is mail."""
    if mail is None:
        yield
        return
    postman = Postman(
        Outbox(client),
        streams,
        mail.directory,
        mail.notifier,
        RedisDeadLetters(client),
        mail.metrics,
        now,
        mail.history,
        mail.rounds,
    )
    running = asyncio.create_task(postman.run(), name="postman")
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=GOODBYE_SECONDS)


def now() -> datetime:
    return datetime.now(UTC)
