from __future__ import annotations

from prometheus_client import CollectorRegistry

from commandside.metrics import WriterMetrics


class SilentMetrics(WriterMetrics):
    """Takes what the writer observes, and does nothing: nobody scrapes a simulation."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        for name in vars(self):
            setattr(self, name, _Silent())


class _Silent:
    def observe(self, amount: float) -> None:
        pass

    def inc(self, amount: float = 1) -> None:
        pass

    def set(self, value: float) -> None:
        pass
