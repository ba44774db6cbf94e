"""Faults that somebody could make one day, each put into the product for the length of a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

import pytest

from commandside.aggregates import Aggregates
from commandside.commands import CheckOut
from commandside.handlers.allowances import allowances_of
from commandside.payments.guarded import GuardedProvider
from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    CaptureOutcome,
    Payment,
    PaymentOutcome,
    ProviderError,
)
from commandside.payments.settle import Settled, settle
from commandside.problems import PaymentDeclined, problem
from commandside.representations import order as order_body
from commandside.representations import pending_order
from commandside.saga import concluding, starting
from commandside.saga.checkout import CheckoutSaga
from commandside.saga.resumption import Resumption
from commandside.writer import Writer
from counterfoil.simulation.log import SimulatedLog
from counterfoil.simulation.provider import ProviderConnection
from domain.aggregates import Allowance, Cart, Checkout, Order, Product, Receipt, StockItem
from domain.aggregates.base import _evolve_methods
from domain.events.cart import CartMergedAway
from domain.events.checkout import CheckoutCompleted
from domain.events.stock import StockReleased, StockReserved, StockRestocked
from domain.values import Cause, Item, Money, OrderLine
from projections import stock_level
from projections.versions import advance, is_next
from streams import agents
from streams.places import Place

Plant = Callable[[pytest.MonkeyPatch], None]


def skip_the_version_check(patch: pytest.MonkeyPatch) -> None:
    def insert(self: SimulatedLog, stored: Sequence[Any], work: Any, reads: Any) -> list[int]:
        first = len(self.rows) + 1
        for position, event in enumerate(stored, start=first):
            row = (position, event.originator_id, event.originator_version, event.topic, event.state)
            self.rows.append(row)
            self._streams.setdefault(event.originator_id, []).append(row)
        for checkout_id, due_at in work.items():
            self._due_at.pop(checkout_id, None)
            if due_at is not None:
                self._due_at[checkout_id] = due_at
        return list(range(first, len(self.rows) + 1))

    patch.setattr(SimulatedLog, "insert", insert)


def ignore_reads_at_append(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedLog, "compare", lambda self, reads: None)


def answer_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    launch = Writer._launch

    def launch_and_answer(self: Writer) -> None:
        launch(self)
        assert self._flight is not None
        for command in self._flight.decided.commands:
            if command.refusal is None:
                command.accept(self._last_position)

    patch.setattr(Writer, "_launch", launch_and_answer)


def release_twice(patch: pytest.MonkeyPatch) -> None:
    def release(self: StockItem, reservation_id: str, cause: Cause) -> None:
        held = self._held(reservation_id)
        for _ in range(2):
            self._trigger(StockReleased, cause, **self._place, **held)

    def released(self: StockItem, event: StockReleased) -> None:
        self.reservations.pop(event.reservation_id, None)
        self.reserved -= event.quantity

    patch.setattr(StockItem, "release", release)
    patch.setitem(_evolve_methods[StockItem], StockReleased, released)


def reserve_what_is_not_there(patch: pytest.MonkeyPatch) -> None:
    def reserve(self: StockItem, reservation_id: str, quantity: int, expires_at: Any, cause: Cause) -> None:
        members = {"reservation_id": reservation_id, "quantity": quantity + 1, "expires_at": expires_at}
        self._trigger(StockReserved, cause, **self._place, **members)

    patch.setattr(StockItem, "reserve", reserve)


def forget_the_receipt(patch: pytest.MonkeyPatch) -> None:
    start = starting.start

    def start_anew(aggregates: Any, command: CheckOut, **more: Any) -> Any:
        key = f"{command.idempotency_key}-{command.order_id}"
        return start(aggregates, command=command.model_copy(update={"idempotency_key": key}), **more)

    patch.setattr("commandside.saga.checkout.start", start_anew)


def drop_a_webhook_for_ever(patch: pytest.MonkeyPatch) -> None:
    async def drop(self: CheckoutSaga, event: Any) -> None:
        pass

    patch.setattr(CheckoutSaga, "on_webhook", drop)


def authorise_again_under_a_new_key(patch: pytest.MonkeyPatch) -> None:
    attempts = count()

    async def authorise(self: CheckoutSaga, payment: Payment, deadline: float, **more: Any) -> Settled:
        return await settle(self._provider, replace(payment, key=f"{payment.key}-{next(attempts)}"), deadline)

    patch.setattr(CheckoutSaga, "authorise", authorise)


def capture_twice_under_a_new_key(patch: pytest.MonkeyPatch) -> None:
    capture = ProviderConnection.capture
    attempts = count()

    async def capture_anew(self: ProviderConnection, payment: Payment, amount: Money) -> CaptureOutcome:
        try:
            return await capture(self, payment, amount)
        except ProviderError:
            again = replace(payment, key=f"{payment.key}-{next(attempts)}")
            await self.authorise(again)
            return await capture(self, again, amount)

    patch.setattr(ProviderConnection, "capture", capture_anew)


def capture_before_placing(patch: pytest.MonkeyPatch) -> None:
    authorise = CheckoutSaga.authorise

    async def authorise_and_capture(self: CheckoutSaga, payment: Payment, *arguments: Any, **more: Any) -> Settled:
        outcome = await authorise(self, payment, *arguments, **more)
        if isinstance(outcome, Authorised):
            captured = await self._provider.capture(payment, payment.amount)
            return captured if isinstance(captured, Captured) else outcome
        return outcome

    patch.setattr(CheckoutSaga, "authorise", authorise_and_capture)


def forget_to_capture_after_a_crash(patch: pytest.MonkeyPatch) -> None:
    def completed(self: Checkout, event: CheckoutCompleted) -> None:
        evolve(self, event)
        if event.capture_after is not None:
            self.due_at = event.capture_after + timedelta(days=7)

    evolve = _evolve_methods[Checkout][CheckoutCompleted]
    patch.setitem(_evolve_methods[Checkout], CheckoutCompleted, completed)


def do_not_void_a_late_authorisation(patch: pytest.MonkeyPatch) -> None:
    async def believe(self: Resumption, checkout: Any) -> None:
        cause = self._causes.of_checkout(checkout.order_id)
        await self._saga.conclude(checkout.order_id, Cancelled("believed to be"), cause)

    patch.setattr(Resumption, "_settle_expired", believe)


def capture_the_whole_although_a_part_goes_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Checkout, "amount_to_capture", property(lambda self: self.amount))


def do_not_restock_what_could_not_be_captured(patch: pytest.MonkeyPatch) -> None:
    def cancel_and_keep_the_stock(
        aggregates: Aggregates, order: Order, checkout: Checkout, reason: str | None, cause: Cause
    ) -> None:
        allowances = allowances_of(aggregates, order.owner, checkout.limited_product_ids)
        order.cancel(reason, cause)
        for allowance in allowances:
            allowance.give_back(order.order_id, cause)

    patch.setattr(concluding, "undo_sale", cancel_and_keep_the_stock)


def trust_a_stale_price(patch: pytest.MonkeyPatch) -> None:
    order_line = starting._order_line
    prices: dict[str, Money] = {}

    def line(product: Product, quantity: int) -> OrderLine:
        found = order_line(product, quantity)
        price = prices.setdefault(product.sku, product.price)
        return OrderLine(found.product_id, found.title, found.quantity, price, found.kind)

    patch.setattr(starting, "_order_line", line)


def sweep_without_looking_at_the_payment(patch: pytest.MonkeyPatch) -> None:
    async def ask(self: Resumption, payment: Payment, question: Any) -> PaymentOutcome:
        return Cancelled("believed to be")

    patch.setattr(Resumption, "_ask", ask)


def take_silence_for_a_no(patch: pytest.MonkeyPatch) -> None:
    expire = concluding.expire

    def expire_for_good(aggregates: Any, payment_settled: bool, **more: Any) -> Any:
        return expire(aggregates, payment_settled=True, **more)

    patch.setattr(concluding, "expire", expire_for_good)


def forget_to_resume_after_a_crash(patch: pytest.MonkeyPatch) -> None:
    async def sweep(self: Resumption) -> int:
        return 0

    patch.setattr(Resumption, "sweep", sweep)


def empty_the_guests_cart_without_adding(patch: pytest.MonkeyPatch) -> None:
    def merge(self: Cart, guest: Cart, cause: Cause) -> None:
        guest._trigger(CartMergedAway, cause, into_cart_id=str(self.id))

    patch.setattr(Cart, "merge", merge)


def restock_a_return_twice(patch: pytest.MonkeyPatch) -> None:
    find_return = Order.find_return
    patch.setattr(Order, "find_return", lambda self, return_id: replace(find_return(self, return_id), received=False))


def leave_the_cart_in_checkout(patch: pytest.MonkeyPatch) -> None:
    def check_out(self: Cart, order_id: str, items: tuple[Item, ...], cause: Cause) -> None:
        pass

    patch.setattr(Cart, "check_out", check_out)


def refund_under_a_new_key(patch: pytest.MonkeyPatch) -> None:
    refund = ProviderConnection.refund
    attempts = count()

    async def refund_anew(self: ProviderConnection, payment: Payment, refund_key: str, amount: Money) -> Any:
        return await refund(self, payment, f"{refund_key}-{next(attempts)}", amount)

    patch.setattr(ProviderConnection, "refund", refund_anew)


def place_what_was_not_paid(patch: pytest.MonkeyPatch) -> None:
    conclude = CheckoutSaga.conclude

    async def conclude_gladly(self: CheckoutSaga, order_id: UUID, outcome: Settled, cause: Cause) -> Any:
        if not isinstance(outcome, Authorised | Cancelled):
            outcome = Authorised("it will be all right")
        return await conclude(self, order_id, outcome, cause)

    patch.setattr(CheckoutSaga, "conclude", conclude_gladly)


def forget_nothing_of_what_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("commandside.identity_map.IdentityMap.forget", lambda self, *batches: self._drop_undecided())


def tell_who_comes_late_something_newer(patch: pytest.MonkeyPatch) -> None:
    def current(parts: Any) -> concluding.Concluded:
        order, checkout = parts.order, parts.checkout
        if checkout.status == "completed":
            return concluding.Concluded(201, order_body(order), order.version)
        if checkout.awaits_payment:
            return concluding.Concluded(202, pending_order(order), order.version)
        refusal = PaymentDeclined(checkout.failure_reason or "declined")
        return concluding.Concluded(402, problem(refusal), order.version)

    patch.setattr(concluding, "_told", current)


def lose_restocked_units_in_the_view(patch: pytest.MonkeyPatch) -> None:
    def unchanged(level: stock_level.StockLevel, event: StockRestocked) -> stock_level.StockLevel:
        return stock_level.StockLevel(event.originator_version, level.on_hand, level.reserved)

    patch.setitem(stock_level._CHANGES, StockRestocked, unchanged)


def apply_an_event_twice_in_the_view(patch: pytest.MonkeyPatch) -> None:
    def advance_again(view: Any, event: Any, start: Any, changes: Any) -> Any:
        if view is None or is_next(view.version, event) or type(event) not in changes:
            return advance(view, event, start, changes)
        return changes[type(event)](view, event)

    patch.setattr(stock_level, "advance", advance_again)


def forget_to_give_the_allowance_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Allowance, "give_back", lambda self, order_id, cause: None)


def ignore_the_allowance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Allowance, "taken_beside", lambda self, order_id: 0)


def buy_again_with_an_expired_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(starting, "_ensure_no_order_stands", lambda aggregates, receipt: None)


def let_a_key_expire_before_its_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Receipt, "is_expired", lambda self, at, ttl: self.answered)


def hold_the_stock_and_refuse_for_want_of_payments(patch: pytest.MonkeyPatch) -> None:
    closed_for_seconds, authorise = (
        GuardedProvider.closed_to_new_payments_for_seconds,
        CheckoutSaga._authorise_unless_hurried,
    )

    async def always_open(self: GuardedProvider) -> float | None:
        return None

    async def authorise_or_refuse(self: CheckoutSaga, *args: Any) -> Settled:
        if (seconds := await closed_for_seconds(self._provider)) is not None:
            raise starting.PaymentsUnavailable(seconds)
        return await authorise(self, *args)

    patch.setattr(GuardedProvider, "closed_to_new_payments_for_seconds", always_open)
    patch.setattr(CheckoutSaga, "_authorise_unless_hurried", authorise_or_refuse)


def believe_in_what_the_bus_forgot(patch: pytest.MonkeyPatch) -> None:
    async def fill_nothing(*_: Any) -> int:
        return 0

    patch.setattr(agents, "fill", fill_nothing)


def begin_beyond_what_was_taken(patch: pytest.MonkeyPatch) -> None:
    def advance_too_far(self: Place, last_offset: int) -> None:
        self.next_offset = last_offset + 40

    patch.setattr(Place, "advance", advance_too_far)
    patch.setattr(Place, "check", lambda self, first_offset: None)


PLANTED: Final[Mapping[str, Plant]] = {
    plant.__name__: plant
    for plant in (
        skip_the_version_check,
        ignore_reads_at_append,
        answer_before_the_commit,
        release_twice,
        reserve_what_is_not_there,
        forget_the_receipt,
        drop_a_webhook_for_ever,
        authorise_again_under_a_new_key,
        capture_twice_under_a_new_key,
        capture_before_placing,
        forget_to_capture_after_a_crash,
        do_not_void_a_late_authorisation,
        capture_the_whole_although_a_part_goes_back,
        do_not_restock_what_could_not_be_captured,
        trust_a_stale_price,
        sweep_without_looking_at_the_payment,
        take_silence_for_a_no,
        forget_to_resume_after_a_crash,
        empty_the_guests_cart_without_adding,
        restock_a_return_twice,
        leave_the_cart_in_checkout,
        refund_under_a_new_key,
        place_what_was_not_paid,
        forget_nothing_of_what_failed,
        tell_who_comes_late_something_newer,
        lose_restocked_units_in_the_view,
        apply_an_event_twice_in_the_view,
        forget_to_give_the_allowance_back,
        ignore_the_allowance,
        buy_again_with_an_expired_key,
        let_a_key_expire_before_its_time,
        hold_the_stock_and_refuse_for_want_of_payments,
        believe_in_what_the_bus_forgot,
        begin_beyond_what_was_taken,
    )
}
