"""The whole of a file, in the order of its times; interrupted anywhere and run again it goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from commandside.event_store import EventStore, StoreUnavailable
from commandside.payments.port import PaymentProvider
from commandside.write_side import WriteSide
from commandside.writer import Busy, Contended
from counterfoil import wiring
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.held_back import held_back
from counterfoil.imports.retail.clock import FileClock
from counterfoil.imports.retail.desk import Desk
from counterfoil.imports.retail.invoices import CURRENCY, InvoiceFile, Sale
from counterfoil.imports.retail.opening import open_shop
from counterfoil.imports.retail.outcomes import Begun, Outcome, Placed, Refused, outcomes
from counterfoil.imports.retail.plan import Cancellation, Plan, Return, Unmatched, plan
from counterfoil.imports.retail.report import Report
from counterfoil.imports.retail.selling import sell
from counterfoil.imports.retail.taking_back import take_back
from counterfoil.imports.stopping import Stopping, never
from counterfoil.progress import Progress
from counterfoil.settings import Settings, ShippingMethodSetting
from domain.errors import DomainError

# How long the running shop leaves alone what an interrupted import left half done, so that the next run finds it.
HOLD: Final = timedelta(days=30)


def write_side(
    settings: Settings,
    store: EventStore,
    provider: PaymentProvider,
    clock: FileClock,
    now: Callable[[], datetime] = wiring.now,
) -> WriteSide:
    """The shop's, on the terms of the file: its prices are all there is to pay, for postage has lines of its own."""
    terms = settings.model_copy(
        update={
            "currency": CURRENCY,
            "tax_basis_points": 0,
            "shipping_methods": {"standard": ShippingMethodSetting(fee_minor=0, delivery_days=5)},
            "default_shipping_method": "standard",
        }
    )
    return wiring.write_side(terms, held_back(store, HOLD, now), provider, clock=clock)


async def replay(
    settings: Settings,
    store: EventStore,
    provider: PaymentProvider,
    file: InvoiceFile,
    progress: Progress,
    stopping: Stopping = never,
) -> Report | None:
    """None when it was asked to stop before the end. Raises ImportStopped when the database or the provider is away."""
    began = time.monotonic()
    clock = FileClock(datetime.now(UTC))
    desk = Desk(write_side(settings, store, provider, clock), clock)
    report = Report(file.lines_count, len(file.rejected))
    try:
        await desk.write_side.start(resume=False)
        try:
            finished = await _replay(desk, plan(file.invoices), report, progress, stopping)
        finally:
            await desk.write_side.stop()
    except (StoreUnavailable, Busy, Contended) as error:
        raise ImportStopped(
            f"The database does not take what is written ({error}). When it does, run the same command again: it goes "
            "on where it was."
        ) from error
    report.seconds = time.monotonic() - began
    return report if finished else None


async def _replay(desk: Desk, plan: Plan, report: Report, progress: Progress, stopping: Stopping) -> bool:
    done = await outcomes(desk, plan.sales)
    report.unmatched += plan.unmatched
    report.refused += plan.impossible
    if not await open_shop(desk, plan, done, progress, stopping):
        return False
    progress.begin("invoices", len(plan.steps))
    for step in plan.steps:
        if stopping():
            return False
        if isinstance(step, Sale):
            await _sell(desk, step, done, report)
        else:
            await _take_back(desk, step, done, report)
        progress.advance()
    return True


async def _sell(desk: Desk, sale: Sale, done: dict[str, Outcome], report: Report) -> None:
    outcome = done[sale.number]
    if isinstance(outcome, Placed):
        report.found_done_count += 1
    else:
        outcome = done[sale.number] = await sell(desk, sale, outcome)
    match outcome:
        case Placed(total):
            report.sold(sale, total)
        case Refused(reason):
            report.refused.append(Unmatched(sale, reason))
        case Begun() | _:
            raise AssertionError(f"invoice {sale.number} has come to no end")


async def _take_back(desk: Desk, step: Cancellation | Return, done: dict[str, Outcome], report: Report) -> None:
    if not isinstance(done[step.sale.number], Placed):
        report.unmatched.append(Unmatched(step.invoice, f"its invoice {step.sale.number} was refused"))
        return
    try:
        await take_back(desk, step)
    except DomainError as refusal:
        report.unmatched.append(Unmatched(step.invoice, refusal.detail))
    else:
        report.took_back(step)
