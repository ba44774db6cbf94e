"""The command API's process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from commandside.api import create_app, shortcut
from commandside.api.errors import TRANSLATIONS
from commandside.metrics import WriterMetrics
from commandside.payments.metrics import CircuitMetrics
from counterfoil import wiring
from counterfoil.http.dress import dress
from counterfoil.http.serve import serve

if TYPE_CHECKING:
    from counterfoil.settings import Settings


def main(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    store = wiring.event_store(settings)
    provider = wiring.payment_provider(settings)
    registry = CollectorRegistry()
    write_side = wiring.write_side(
        settings,
        store,
        provider,
        metrics=WriterMetrics(registry),
        probe=provider.is_ready,
        circuit_metrics=CircuitMetrics(registry),
    )

    async def writer_lives() -> None:
        if not (write_side.writer.alive and write_side.resumption.alive):
            raise RuntimeError("the writer or the resumption has ended")

    async def payments_answer() -> None:
        if await write_side.provider.closed_to_new_payments_for_seconds() is not None:
            raise RuntimeError("the payment provider did not answer: new checkouts are refused")
        if not await provider.is_ready():
            raise RuntimeError("the payment provider is not ready")

    app = dress(
        create_app(write_side, wiring.payment_webhooks(settings), settings.query_base_url),
        settings,
        TRANSLATIONS,
        needs={"postgres": store.ping, "writer": writer_lives},
        wants={"payments": payments_answer},
        registry=registry,
        front=shortcut,
    )
    try:
        serve(app, settings.host, settings.command_port, stopping=write_side.saga.hurry)
    finally:
        store.close()
