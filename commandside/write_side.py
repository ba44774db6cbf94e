"""The write side as one thing: what the command API, the imports and the tests drive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from commandside.aggregates import Aggregates
from commandside.event_store import EventStore
from commandside.handlers.context import Answer, Context, Shop
from commandside.metrics import WriterMetrics
from commandside.payments.guarded import GuardedProvider
from commandside.saga.capturing import Capturing
from commandside.saga.causes import Causes
from commandside.saga.checkout import CheckoutSaga
from commandside.saga.resumption import Resumption
from commandside.saga.starting import Terms
from commandside.writer import Committed, Writer

# Shorter than what a client waits: behind a provider that is silent many others may be due.
RESUMED_SETTLE_WITHIN_SECONDS = 3.0
C_contra = TypeVar("C_contra", contravariant=True)


class Handler(Protocol[C_contra]):
    def __call__(self, aggregates: Aggregates, command: C_contra, context: Context) -> Answer: ...


class ShopHandler(Protocol[C_contra]):
    def __call__(self, aggregates: Aggregates, command: C_contra, context: Context, shop: Shop) -> Answer: ...


class WriteSide:
    """Commands go through `execute`, checkouts through `saga`; `resumption` sees to what was left unfinished."""

    def __init__(
        self,
        store: EventStore,
        provider: GuardedProvider,
        shop: Shop,
        terms: Terms,
        clock: Callable[[], datetime],
        *,
        answer_within_seconds: float = 10.0,
        metrics: WriterMetrics | None = None,
    ) -> None:
        self.store = store
        self.provider = provider
        self.shop = shop
        self.clock = clock
        self.writer = Writer(store, metrics=metrics)
        self.capturing = Capturing(self.writer, provider, Causes(clock))
        self.saga = CheckoutSaga(
            self.writer, provider, self.capturing, shop, terms, clock, answer_within_seconds=answer_within_seconds
        )
        self.resumption = Resumption(
            store,
            self.writer,
            self.saga,
            self.capturing,
            provider,
            clock,
            settle_within_seconds=min(RESUMED_SETTLE_WITHIN_SECONDS, answer_within_seconds),
        )

    async def start(self, *, resume: bool = True) -> None:
        """Raises StoreUnavailable."""
        await self.writer.start()
        if resume:
            self.resumption.start()

    async def stop(self) -> None:
        await self.resumption.stop()
        await self.capturing.stop()
        await self.writer.stop()

    async def execute(self, handler: Handler[C_contra], command: C_contra, context: Context) -> Committed[Answer]:
        """Decides and makes it durable. Raises the handler's DomainErrors, and Busy, Contended, StoreUnavailable."""
        return await self.writer.execute(partial(handler, command=command, context=context))

    async def execute_in_shop(
        self, handler: ShopHandler[C_contra], command: C_contra, context: Context
    ) -> Committed[Answer]:
        """The same for a handler that needs the shop's terms."""
        return await self.writer.execute(partial(handler, command=command, context=context, shop=self.shop))
