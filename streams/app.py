"""The Faust app: an agent for each view, fed from Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import faust
from aiokafka.errors import KafkaError
from faust.types import TP, StreamT
from yarl import URL

from commandside.event_store.errors import StoreUnavailable
from streams.agents import Share
from streams.faust_chunks import ChunkTransport

GROUP: Final = "counterfoil-views"
POLL_LIMIT_RECORDS: Final = 5_000
BUFFER_LIMIT_CHUNKS: Final = 16
SESSION_TIMEOUT_SECONDS: Final = 10.0
HEARTBEAT_SECONDS: Final = 3.0
REBALANCE_TIMEOUT_SECONDS: Final = 30.0
REQUEST_TIMEOUT_SECONDS: Final = 30.0
SEND_TIMEOUT_SECONDS: Final = 30.0
COMMIT_SECONDS: Final = 2.0


class Agent(Protocol):
    """Takes one topic, never raises out of `take`, and knows where it goes on (streams/agents.py)."""

    share: Share

    @property
    def trouble(self) -> str | None: ...

    async def prepare(self) -> None: ...

    async def beginnings(self) -> dict[str, int | None]: ...

    def keep_only(self, numbers: Collection[int]) -> None: ...

    async def take(self, stream: StreamT[Any]) -> None: ...

    async def keep(self, highwater: Callable[[TP], int | None]) -> None: ...


class ViewApp(faust.App):
    """At least once, into writers that repetition does not change. No tables, no web server, no transactions."""

    view_agents: Sequence[Agent] = ()

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Without tables there is nothing to keep in a folder: a worker runs where nothing can be written."""

    async def beginnings(self, partitions: Collection[TP]) -> Mapping[TP, int | None]:
        """The offset at which each goes on: the lowest of those that its agents need; None where one needs them all."""
        needed: dict[TP, list[int | None]] = {tp: [] for tp in partitions}
        for agent in self.view_agents:
            mine = [tp for tp in partitions if tp.topic == agent.share.topic]
            agent.keep_only([tp.partition for tp in mine])
            offsets = await agent.beginnings()
            for tp in mine:
                needed[tp].append(offsets[agent.share.partition(tp.partition)])
        return {tp: _lowest(offsets) for tp, offsets in needed.items()}

    def highwater(self, tp: TP) -> int | None:
        """The offset behind the last message; None while that is not known, and of a partition that others have now.

        Partitions are dealt out in the consumer's own thread, at any moment: only asking tells whose one is.
        """
        try:
            return self.consumer.highwater(tp)
        except (
            AssertionError,
            AttributeError,
        ):  # aiokafka's way to say so, before and after it has dealt them out anew
            return None

    async def send_raw(self, topic: str, key: bytes | None, value: bytes, headers: Mapping[str, bytes]) -> None:
        """Returns when Kafka has it. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
                await self.producer.send_and_wait(topic, key, value, None, None, list(headers.items()))
        except (KafkaError, TimeoutError) as error:
            raise StoreUnavailable(f"{topic} does not take a message: {error!r}") from error


def create_app(kafka_url: str, group: str = GROUP) -> ViewApp:
    """An app without agents. To be called within the loop that it is to run in."""
    return ViewApp(
        group,
        broker=[URL(f"kafka://{address}") for address in kafka_url.split(",")],
        broker_max_poll_records=POLL_LIMIT_RECORDS,
        broker_session_timeout=SESSION_TIMEOUT_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_rebalance_timeout=REBALANCE_TIMEOUT_SECONDS,
        broker_request_timeout=REQUEST_TIMEOUT_SECONDS,
        broker_commit_interval=COMMIT_SECONDS,
        stream_buffer_maxsize=BUFFER_LIMIT_CHUNKS,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
    )


def add_agents(app: ViewApp, agents: Sequence[Agent]) -> None:
    app.view_agents = agents
    for agent in agents:
        topic = app.topic(agent.share.topic, key_serializer="raw", value_serializer="raw")
        app.agent(topic, name=agent.share.view)(agent.take)


def _lowest(offsets: Sequence[int | None]) -> int | None:
    known = [offset for offset in offsets if offset is not None]
    return min(known, default=None) if len(known) == len(offsets) else None
