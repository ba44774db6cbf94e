"""What a relay tells of itself."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge


class RelayMetrics:
    """Prometheus metrics. Of several relays one is the leader; the others tell 0."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.leader = Gauge("counterfoil_relay_leader", "1 while this relay leads", registry=registry)
        self.position = Gauge(
            "counterfoil_relay_position", "Position in the log up to which Kafka has everything", registry=registry
        )
        self.behind_seconds = Gauge(
            "counterfoil_relay_behind_seconds", "Seconds since Kafka had all of the log", registry=registry
        )
        self.in_flight = Gauge(
            "counterfoil_relay_in_flight", "Messages that Kafka has not acknowledged", registry=registry
        )
        self.events = Counter(
            "counterfoil_relay_events", "Events that Kafka has acknowledged", ("topic",), registry=registry
        )
        self.errors = Counter(
            "counterfoil_relay_errors", "Times that a store failed the relay", ("store",), registry=registry
        )
