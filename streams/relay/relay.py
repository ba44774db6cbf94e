"""Follows the log and sends every event to Kafka."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import psycopg
import structlog
from confluent_kafka import KafkaException

from commandside.event_store.errors import StoreUnavailable
from commandside.event_store.log import PostgresEventLog
from commandside.event_store.mapper import EventMapper
from streams.envelope import encode
from streams.relay.kafka_topics import ensure_topics
from streams.relay.leadership import Leadership, LeadershipLost, leading
from streams.relay.metrics import RelayMetrics
from streams.relay.sender import Sender, Undelivered

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
_log = structlog.get_logger(__name__)

KAFKA_TROUBLES: Final = (KafkaException, Undelivered)
DATABASE_TROUBLES: Final = (LeadershipLost, StoreUnavailable, psycopg.OperationalError, OSError)


class Relay:
    """Sends while it leads, from the position that was saved last; what was sent beyond it is sent again.

    While Kafka or Postgres is away it tries again, for ever: the events wait in the log. What comes at once is sent at
    once; after that, what comes within `beat_seconds` goes together.
    """

    def __init__(
        self,
        database_url: str,
        kafka_url: str,
        partitions_count: int,
        metrics: RelayMetrics,
        mapper: EventMapper | None = None,
        *,
        page_size_events: int = 500,
        in_flight_limit_messages: int = 20_000,
        poll_seconds: float = 0.5,
        beat_seconds: float = 0.1,
        save_interval_seconds: float = 0.2,
        lease_seconds: float = 3.0,
        goodbye_seconds: float = 2.0,
    ) -> None:
        self._database_url = database_url
        self._kafka_url = kafka_url
        self._partitions_count = partitions_count
        self._metrics = metrics
        self._mapper = mapper or EventMapper()
        self._page_size_events = page_size_events
        self._in_flight_limit_messages = in_flight_limit_messages
        self._poll_seconds = poll_seconds
        self._beat_seconds = beat_seconds
        self._save_interval_seconds = save_interval_seconds
        self._lease_seconds = lease_seconds
        self._goodbye_seconds = goodbye_seconds
        self._sender: Sender | None = None
        self._has_read_all = False
        self._troubles: dict[str, str] = {}
        metrics.behind_seconds.set_function(lambda: self.behind_seconds)

    @property
    def behind_seconds(self) -> float:
        """How long ago Kafka last had all that the log held; 0 when it has, and for one that stands by."""
        if self._sender is None or (self._has_read_all and self._sender.is_idle):
            return 0.0
        return time.monotonic() - self._sender.kept_up_at

    def positions(self) -> dict[str, int]:
        """Up to where Kafka has everything, by what the leader knows; empty for one that stands by."""
        return {"relay": self._sender.delivered_up_to} if self._sender else {}

    def degraded(self) -> list[str]:
        """It does without nothing."""
        return []

    def troubles(self) -> dict[str, str]:
        """Which store keeps it from working at present, and why. Empty: all is well."""
        of_sender = self._sender.trouble if self._sender else None
        return self._troubles | ({"kafka": of_sender} if of_sender else {})

    async def run(self) -> None:
        """Until cancelled. Raises (in an ExceptionGroup) CannotGoOn for topics of the wrong shape, and
        MapperDeserialisationError for an event that cannot be read."""
        pause_seconds = FIRST_PAUSE_SECONDS
        # unbounded: the log keeps the events, and readiness and metrics tell that they wait
        while True:
            led_from = time.monotonic()
            try:
                await self._serve_a_term()
            except* KAFKA_TROUBLES as errors:
                self._note("kafka", errors)
            except* DATABASE_TROUBLES as errors:
                self._note("database", errors)
            if time.monotonic() - led_from > LONGEST_PAUSE_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    async def _serve_a_term(self) -> None:
        """From taking over to losing the lead, one way or another."""
        async with leading(
            self._database_url, self._on_postgres_answering, lease_seconds=self._lease_seconds
        ) as leadership:
            _log.info("relay_leads", epoch=leadership.epoch, position=leadership.position)
            sender = Sender(
                self._kafka_url,
                self._partitions_count,
                self._metrics,
                leadership.position,
                in_flight_limit_messages=self._in_flight_limit_messages,
            )
            self._sender, self._has_read_all = sender, False
            self._metrics.leader.set(1)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_the_lead(leadership, sender), name="lead")
                    tasks.create_task(sender.serve(), name="deliveries")
                    tasks.create_task(self._relay(leadership, sender), name="relay")
            except asyncio.CancelledError:
                await self._finish(leadership, sender)
                raise
            finally:
                await sender.close()
                self._sender = None
                self._metrics.leader.set(0)

    async def _keep_the_lead(self, leadership: Leadership, sender: Sender) -> None:
        renew_interval_seconds = self._lease_seconds / 6
        renewed_at = time.monotonic()
        while True:
            if sender.delivered_up_to > leadership.position:
                await leadership.save(sender.delivered_up_to)
                renewed_at = time.monotonic()
            elif time.monotonic() - renewed_at > renew_interval_seconds:
                await leadership.renew()
                renewed_at = time.monotonic()
            await asyncio.sleep(min(self._save_interval_seconds, renew_interval_seconds))

    async def _relay(self, leadership: Leadership, sender: Sender) -> None:
        await ensure_topics(self._kafka_url, self._partitions_count)
        self._troubles.pop("kafka", None)
        position = leadership.position
        # Whoever led before may have died between an event and its marker.
        marked = 0
        marked_at = time.monotonic() - self._beat_seconds
        async with PostgresEventLog(self._database_url) as log:
            while True:
                read_at = time.monotonic()
                rows = await log.read_rows(position, self._page_size_events)
                self._has_read_all = len(rows) < self._page_size_events
                leadership.check()
                envelopes = [envelope for row in rows if (envelope := encode(row, self._mapper)) is not None]
                if rows:
                    position = rows[-1][0]
                await sender.send(envelopes, position, read_at if self._has_read_all else None)
                # Behind the events, in the same batches as they: a request to Kafka holds one partition, and requests
                # are what costs there.
                if position > marked and time.monotonic() - marked_at >= self._beat_seconds:
                    await sender.mark(position)
                    marked, marked_at = position, time.monotonic()
                if self._has_read_all:
                    await asyncio.sleep(max(0.0, marked_at + self._beat_seconds - time.monotonic()))
                    if position <= marked:
                        await log.wait_for_append(self._poll_seconds)

    async def _finish(self, leadership: Leadership, sender: Sender) -> None:
        """What is on its way arrives, and is saved, so that nothing is sent twice after a stop on purpose."""
        try:
            async with asyncio.timeout(self._goodbye_seconds):
                await sender.finish(self._goodbye_seconds)
                if sender.delivered_up_to > leadership.position:
                    await leadership.save(sender.delivered_up_to)
        except (*KAFKA_TROUBLES, *DATABASE_TROUBLES, TimeoutError) as error:
            _log.warning("relay_stopped_in_the_middle", error=repr(error))

    def _on_postgres_answering(self) -> None:
        self._troubles.pop("database", None)

    def _note(self, store: str, errors: ExceptionGroup[Exception]) -> None:
        reasons = "; ".join(str(error) or type(error).__name__ for error in errors.exceptions)
        self._troubles[store] = reasons
        self._metrics.errors.labels(store).inc()
        _log.warning("relay_interrupted", store=store, error=reasons)
