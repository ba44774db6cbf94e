"""What a projector tells of itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge


class ProjectorMetrics:
    """Prometheus metrics, each by `projection`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        label = ("projection",)
        self.position = Gauge("counterfoil_projection_position", "Position in the log", label, registry=registry)
        self.behind_seconds = Gauge(
            "counterfoil_projection_behind_seconds", "Seconds since it held all of the log", label, registry=registry
        )
        self.events = Counter("counterfoil_projection_events", "Events taken from the log", label, registry=registry)
        self.retries = Counter(
            "counterfoil_projection_retries", "Attempts repeated for want of a store", label, registry=registry
        )
        self.dead_letters = Counter(
            "counterfoil_projection_dead_letters", "Events that could not be applied", label, registry=registry
        )
        self.set_aside = Gauge(
            "counterfoil_projection_streams_set_aside",
            "Streams whose view stands still because of a dead letter",
            label,
            registry=registry,
        )
        self.losses = Counter(
            "counterfoil_projection_store_losses", "Times the store lost its data", label, registry=registry
        )

    def forget(self, projection: str) -> None:
        """It is not kept up any more."""
        for metric in (
            self.position,
            self.behind_seconds,
            self.events,
            self.retries,
            self.dead_letters,
            self.set_aside,
            self.losses,
        ):
            with suppress(KeyError):  # never told
                metric.remove(projection)


class WorkerMetrics(ProjectorMetrics):
    """The same of a worker on Kafka, whose share is some partitions of a topic."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        super().__init__(registry)
        self.lag_messages = Gauge(
            "counterfoil_projection_lag_messages",
            "Messages of the partitions it has that were not taken yet",
            ("projection",),
            registry=registry,
        )
        self._caught_up_at: dict[str, float] = {}

    def lag(self, projection: str, by_partition: Mapping[str, int]) -> None:
        """Messages that are there and not taken."""
        now, behind = time.monotonic(), sum(by_partition.values())
        if not behind:
            self._caught_up_at[projection] = now
        self.lag_messages.labels(projection).set(behind)
        self.behind_seconds.labels(projection).set(now - self._caught_up_at.setdefault(projection, now))
