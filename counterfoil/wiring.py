"""Which parts the shop is made of, from its settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from pydantic import SecretStr

from commandside.event_store.port import EventStore
from commandside.event_store.postgres import PostgresEventStore
from commandside.handlers.context import Shop
from commandside.metrics import WriterMetrics
from commandside.payments import stripe_webhook
from commandside.payments.breaker import Bounds
from commandside.payments.guarded import GuardedProvider
from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.metrics import CircuitMetrics
from commandside.payments.port import PaymentProvider
from commandside.payments.webhook import WebhookReader, built_in
from commandside.saga.starting import Terms
from commandside.write_side import WriteSide
from counterfoil.settings import Settings
from counterfoil.stored_form import event_mapper
from domain.pricing import ShippingMethod, Tariff

RESUME_GRACE_SECONDS = 5


def now() -> datetime:
    return datetime.now(UTC)


def event_store(settings: Settings) -> PostgresEventStore:
    if settings.database_url is None:
        raise ValueError("there is no database: DATABASE_URL is not set and no shop is running")
    return PostgresEventStore(settings.database_url, mapper=event_mapper(settings))


class ConnectedProvider(PaymentProvider, Protocol):
    """A provider that is somewhere else, and may be away."""

    async def is_ready(self) -> bool: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def payment_provider(settings: Settings) -> ConnectedProvider:
    if settings.payments == "builtin":
        return HttpPaymentProvider(settings.provider_base_url)
    # Half a second, and memory, for who does not take money by Stripe.
    from commandside.payments.stripe_provider import StripePaymentProvider  # noqa: PLC0415

    return StripePaymentProvider(_secret(settings.stripe_api_key), api_base=settings.stripe_api_base)


def payment_webhooks(settings: Settings) -> WebhookReader:
    if settings.payments == "builtin":
        return built_in(settings.webhook_secret.get_secret_value())
    return stripe_webhook.reader(_secret(settings.stripe_webhook_secret))


def _secret(given: SecretStr | None) -> str:
    if given is None:
        raise ValueError("Settings lets nobody choose Stripe without its secrets")
    return given.get_secret_value()


def write_side(
    settings: Settings,
    store: EventStore,
    provider: PaymentProvider,
    clock: Callable[[], datetime] = now,
    metrics: WriterMetrics | None = None,
    *,
    probe: Callable[[], Awaitable[bool]] | None = None,
    circuit_metrics: CircuitMetrics | None = None,
) -> WriteSide:
    """`provider` is put behind a circuit breaker; `probe` asks it, without a payment, whether it is back."""
    terms = Terms(
        reservation_ttl=timedelta(seconds=settings.reservation_ttl_seconds),
        resume_grace=timedelta(seconds=settings.checkout_answer_within_seconds + RESUME_GRACE_SECONDS),
        receipt_ttl=timedelta(hours=settings.receipt_ttl_hours),
    )
    bounds = Bounds(
        failures_limit_count=settings.payments_failures_to_open, open_seconds=settings.payments_open_seconds
    )
    return WriteSide(
        store,
        GuardedProvider(provider, bounds, probe=probe, metrics=circuit_metrics),
        shop(settings),
        terms,
        clock,
        answer_within_seconds=settings.checkout_answer_within_seconds,
        metrics=metrics,
    )


def shop(settings: Settings) -> Shop:
    methods = {
        name: ShippingMethod(name, method.fee_minor, method.delivery_days)
        for name, method in settings.shipping_methods.items()
    }
    return Shop(settings.currency, Tariff(methods, settings.default_shipping_method, settings.tax_basis_points))
