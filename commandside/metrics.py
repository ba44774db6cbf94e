from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class WriterMetrics:
    """What the writer loop does, for Prometheus. Observed once a batch, or once a command where it says so."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.batch_commands = Histogram(
            "counterfoil_writer_batch_commands", "Commands in a batch", buckets=_SIZES, registry=registry
        )
        self.batch_events = Histogram(
            "counterfoil_writer_batch_events", "Events that a batch appended", buckets=_SIZES, registry=registry
        )
        self.queue_commands = Gauge(
            "counterfoil_writer_queue_commands", "Commands waiting when a batch was sent off", registry=registry
        )
        self.wait_seconds = Histogram(
            "counterfoil_writer_wait_seconds",
            "How long the first command of a batch had waited when the batch was sent off",
            buckets=_SECONDS,
            registry=registry,
        )
        self.decide_seconds = Histogram(
            "counterfoil_writer_decide_seconds",
            "Deciding a batch, with what had to be loaded for it",
            buckets=_SECONDS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "counterfoil_writer_commit_seconds",
            "Appending a batch, until it is durable",
            buckets=_SECONDS,
            registry=registry,
        )
        self.conflicts = Counter(
            "counterfoil_writer_conflicts", "Batches that another process wrote before", registry=registry
        )
        self.refused = Counter("counterfoil_writer_refused", "Commands refused by a rule or a fault", registry=registry)
        self.turned_away = Counter(
            "counterfoil_writer_turned_away", "Commands that the full queue did not take", registry=registry
        )
        self.cache_hits = Counter(
            "counterfoil_writer_cache_hits", "Aggregates that were in memory when asked for", registry=registry
        )
        self.cache_misses = Counter(
            "counterfoil_writer_cache_misses", "Aggregates that had to be made from the log", registry=registry
        )
        self.cached_aggregates = Gauge(
            "counterfoil_writer_cached_aggregates", "Aggregates held in memory", registry=registry
        )
