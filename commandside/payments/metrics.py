from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class CircuitMetrics:
    """What the circuit before the payment provider does, for Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "counterfoil_payments_circuit_open",
            "1 while the payment provider is not asked, and new checkouts are refused; else 0",
            registry=registry,
        )
        self._transitions = Counter(
            "counterfoil_payments_circuit_transitions",
            "How often the circuit opened, and closed",
            ["to"],
            registry=registry,
        )
        for state in ("open", "closed"):
            self._transitions.labels(state)  # from the start, so that a first one is seen as a change

    def note(self, state: str) -> None:
        self._open.set(1 if state == "open" else 0)
        self._transitions.labels(state).inc()
