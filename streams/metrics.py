"""What a projector tells of itself."""

from __future__ import annotations

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
