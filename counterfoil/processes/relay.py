"""The relay's process: from the log to Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from counterfoil.embedded.errors import CannotStartError
from counterfoil.http.vitals import run_with_vitals
from counterfoil.stored_form import event_mapper
from streams.relay.metrics import RelayMetrics
from streams.relay.relay import Relay

if TYPE_CHECKING:
    from counterfoil.settings import Settings


def main(settings: Settings) -> None:
    """Sends, or stands by, until SIGTERM or Ctrl-C. Ends with status 1 when it cannot go on.

    Raises CannotStartError when it is not told where Postgres and Kafka are.
    """
    if settings.database_url is None or settings.kafka_url is None:
        raise CannotStartError("There is nothing to relay: set DATABASE_URL (or start the shop) and KAFKA_URL.")
    registry = CollectorRegistry()
    relay = Relay(
        settings.database_url,
        settings.kafka_url,
        settings.kafka_partitions,
        RelayMetrics(registry),
        event_mapper(settings),
    )
    run_with_vitals("relay", _ready(relay), registry, host=settings.host, port=settings.relay_port)


@asynccontextmanager
async def _ready(relay: Relay) -> AsyncIterator[Relay]:
    yield relay  # opens what it needs whenever it leads
