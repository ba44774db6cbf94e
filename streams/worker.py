"""A worker: its share of the partitions, from Kafka into the views."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
from confluent_kafka import KafkaException

from commandside.event_store.errors import StoreUnavailable
from projections.generations import VIEW_NAMES, ViewName
from streams.agents import Share, ViewAgent
from streams.app import GROUP, Agent, ViewApp, add_agents, create_app
from streams.dead_letter_topic import SUFFIX, TopicDeadLetters
from streams.dead_letters import DeadMessages
from streams.feeder import CannotGoOn
from streams.forgotten import TopicLog
from streams.kafka_watch import KafkaWatch
from streams.metrics import WorkerMetrics
from streams.patience import Patience
from streams.places import StoredPlaces
from streams.relay.kafka_topics import ensure_topics
from streams.signals.page_view_agent import PageViewAgent
from streams.signals.page_view_buckets import PageViewBuckets
from streams.signals.page_view_topic import TOPIC as PAGE_VIEWS_TOPIC
from streams.single_feed import SingleFeed
from streams.topics import TOPIC_OF_KIND
from streams.view_feeds import Feeds, ViewFeeds

STOP_TIMEOUT_SECONDS: Final = 10.0
_log = structlog.get_logger(__name__)


class Worker:
    """Begins where the store says, whoever fed it before. `run` ends with the reason when it cannot go on.

    `log_of` gives the log's events of a topic, for what Kafka no longer holds.
    `of_orders` are fed from the orders' topic beside the views; page views go into `page_views`, and what is none to
    `page_views_put_aside`, where they are given.
    """

    def __init__(
        self,
        kafka_url: str,
        partitions_count: int,
        feeds: ViewFeeds,
        places: StoredPlaces,
        metrics: WorkerMetrics,
        log_of: Callable[[str], TopicLog],
        *,
        views: Sequence[ViewName] = VIEW_NAMES,
        of_orders: Sequence[SingleFeed] = (),
        page_views: PageViewBuckets | None = None,
        page_views_put_aside: DeadMessages | None = None,
        group: str = GROUP,
        outage_limit_seconds: float = 300.0,
        set_aside_limit_streams: int = 100,
    ) -> None:
        self._kafka_url = kafka_url
        self._group = group
        self._partitions_count = partitions_count
        self._patience = Patience(
            "kafka", lambda: metrics.retries.labels("kafka").inc(), outage_limit_seconds=outage_limit_seconds
        )
        self._watch = KafkaWatch(kafka_url, PAGE_VIEWS_TOPIC)
        self._started = False
        fed: list[tuple[str, str, Feeds]] = [(view, TOPIC_OF_KIND[view], feeds) for view in views]
        fed += [(feed.name, TOPIC_OF_KIND["order"], feed) for feed in of_orders]
        self._failed: asyncio.Queue[BaseException] = asyncio.Queue(maxsize=len(fed) + 1)
        self._app: ViewApp | None = None
        self._view_agents = [
            ViewAgent(
                Share(view, topic, partitions_count),
                its_feeds,
                places,
                metrics,
                self._send,
                self._failed.put_nowait,
                log_of(topic),
                outage_limit_seconds=outage_limit_seconds,
                set_aside_limit_streams=set_aside_limit_streams,
            )
            for view, topic, its_feeds in fed
        ]
        self._agents: list[Agent] = [*self._view_agents]
        if page_views is not None and page_views_put_aside is not None:
            self._agents.append(
                PageViewAgent(
                    partitions_count,
                    page_views,
                    places,
                    metrics,
                    TopicDeadLetters(page_views_put_aside, PAGE_VIEWS_TOPIC, self._send),
                    self._failed.put_nowait,
                    outage_limit_seconds=outage_limit_seconds,
                )
            )

    async def run(self) -> None:
        """Until cancelled. Raises CannotGoOn, a store's error after too long an outage, and what ends the Faust app."""
        await self._patience.until_done(self._ensure_topics)
        for agent in self._agents:
            await agent.prepare()
        self._app = app = create_app(self._kafka_url, self._group)
        add_agents(app, self._agents)
        try:
            await app.start()
            self._started = True
            async with asyncio.TaskGroup() as tasks:
                for agent in self._agents:
                    tasks.create_task(agent.keep(app.highwater), name=agent.share.view)
                tasks.create_task(self._watch.run(), name="kafka")
                tasks.create_task(self._until_it_fails(), name="agents")
                tasks.create_task(_until_it_ends(app), name="faust")
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                    await app.stop()

    def positions(self) -> dict[str, int]:
        return {agent.share.view: agent.position() for agent in self._view_agents}

    def degraded(self) -> list[str]:
        """It does without nothing."""
        return []

    def troubles(self) -> dict[str, str]:
        """What cannot work at present, and why. Empty: all is well."""
        found: dict[str, str | None] = {agent.share.view: agent.trouble for agent in self._agents}
        found["kafka"] = self._patience.trouble or self._watch.trouble
        if not self._started:
            found["kafka"] = found["kafka"] or "has not started yet"
        return {name: trouble for name, trouble in found.items() if trouble is not None}

    async def _until_it_fails(self) -> None:
        raise await self._failed.get()

    async def _send(self, topic: str, key: bytes | None, value: bytes, headers: Mapping[str, bytes]) -> None:
        if self._app is None:
            raise StoreUnavailable("Kafka is not connected yet")
        await self._app.send_raw(topic, key, value, headers)

    async def _ensure_topics(self) -> None:
        try:
            await ensure_topics(self._kafka_url, self._partitions_count)
            await ensure_topics(self._kafka_url, self._partitions_count, [PAGE_VIEWS_TOPIC])
            await ensure_topics(self._kafka_url, 1, {agent.share.topic + SUFFIX for agent in self._agents})
        except KafkaException as error:
            raise StoreUnavailable(f"Kafka does not answer: {error}") from error


async def _until_it_ends(app: ViewApp) -> None:
    await app.wait_until_stopped()
    raise CannotGoOn("the Faust app has ended") from app.crash_reason
