"""Orders with a whole life, and a post office of one shop: what posts letters, and who carries them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from domain.aggregates import Order
from domain.values import Cause, Item
from projections.recorded import Recorded
from streams.dead_letters import RedisDeadLetters
from streams.notifications.directory import TemplateDirectory
from streams.notifications.notifier import Notifier
from streams.notifications.outbox import Outbox
from streams.notifications.postman import Postman, PostmanMetrics
from streams.notifications.projection import NotificationProjection
from streams.notifications.smtp import SmtpNotifier
from tests.integration.readside.shop import START, gbp
from tests.integration.signals.selling import Log, order

HISTORY = timedelta(hours=24)
MAIL_FROM = "The Shop <orders@shop.example>"


def cause(minutes: int) -> Cause:
    return Cause(START + timedelta(minutes=minutes), "operator:bo", "command-1", "conversation-1")


def delivered(number: int, sku: str = "lamp") -> Order:
    made = order(number, sku)
    made.pack("s1", cause(1))
    made.ship("s1", "Royal Mail", "RM-1", cause(2))
    made.deliver("s1", cause(3))
    return made


def refunded(number: int, sku: str = "lamp") -> Order:
    made = delivered(number, sku)
    made.request_return("r1", (Item(sku, 1),), "too bright", cause(4))
    made.receive_return("r1", cause(5))
    made.refund("refund-1", gbp(1000), "reference-1", cause(6))
    return made


class Post:
    """`now` is what the clock says."""

    def __init__(self, client: Redis, log: Log, smtp_url: str, notifier: Notifier | None = None) -> None:
        self.now: datetime = START + timedelta(minutes=10)
        self.metrics = PostmanMetrics(CollectorRegistry())
        self.outbox = Outbox(client)
        self.dead_letters = RedisDeadLetters(client)
        self.log_end = 0
        self._client = client
        self._log = log
        self._notifier = notifier or SmtpNotifier(smtp_url, MAIL_FROM)

    def projection(self, partition: str = "0") -> NotificationProjection:
        return NotificationProjection(
            self._client, self._log.streams, self._end, lambda: self.now, HISTORY, partition=partition
        )

    def postman(self) -> Postman:
        return Postman(
            self.outbox,
            self._log.streams,
            TemplateDirectory("{customer_id}@customers.example"),
            self._notifier,
            self.dead_letters,
            self.metrics,
            lambda: self.now,
            HISTORY,
        )

    async def told(self, events: Sequence[Recorded], partition: str = "0") -> None:
        """By a projection that starts anew, as after a kill."""
        projection = self.projection(partition)
        await projection.checkpoint()
        await projection.apply(events, max(each.position for each in events))

    async def carried(self) -> None:
        """All that is due, by a postman that starts anew."""
        postman = self.postman()
        while await postman.go_round():
            pass

    async def _end(self) -> int:
        return self.log_end
