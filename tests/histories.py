"""Random legal histories: what the aggregates make of random commands. Refused commands leave no trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from hypothesis import strategies as st

from domain.aggregates import Cart, EventSourced, Order, Product, StockItem
from domain.errors import DomainError
from domain.events import AnyEvent, Recorded
from domain.pricing import Totals
from domain.values import Address, CartLine, Cause, Item, Money, OrderLine, ProductDetails, ShipmentPlan

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
COMMANDS_LIMIT_COUNT = 12
SKUS = ("lamp", "chair", "postage")
WAREHOUSES = ("north", "south")

texts = st.text(max_size=8)
quantities = st.integers(1, 5)
prices = st.builds(Money, st.integers(0, 100_000), st.just("GBP"))
instants = st.integers(0, 10**12).map(lambda us: START + timedelta(microseconds=us))
_causes = st.builds(
    Cause,
    instants,
    st.sampled_from(["customer:ada", "operator:bo", "system:sweeper"]),
    st.just("command-1"),
    st.just("conversation-1"),
)
details = st.builds(
    ProductDetails,
    title=texts,
    category=st.lists(texts, min_size=1, max_size=3).map(tuple),
    description=st.none() | texts,
    brand=st.none() | texts,
    attributes=st.dictionaries(
        texts,
        texts | st.integers(-(2**53), 2**53) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
        max_size=3,
    ),
    images=st.lists(texts, max_size=2).map(tuple),
    seller_id=st.none() | texts,
    kind=st.sampled_from(["goods", "service"]),
)


def causes() -> st.SearchStrategy[Cause]:
    return _causes


@st.composite
def product_histories(draw: st.DrawFn, sku: str = "lamp") -> list[AnyEvent]:
    product = Product.add(sku, draw(details), draw(prices), draw(causes()))
    return _after_commands(
        draw,
        product,
        [
            lambda: product.revise(draw(details), draw(causes())),
            lambda: product.reprice(draw(prices), draw(causes())),
            lambda: product.activate(draw(causes())),
            lambda: product.deactivate(draw(causes())),
            lambda: product.limit(draw(st.none() | st.integers(0, 5)), draw(causes())),
            lambda: product.rate(draw(st.integers(0, 500)), draw(st.integers(0, 10**6)), draw(causes())),
        ],
    )


@st.composite
def stock_histories(draw: st.DrawFn, sku: str = "lamp", warehouse_id: str = "north") -> list[AnyEvent]:
    stock = StockItem.open(sku, warehouse_id, draw(causes()))
    reservation_ids = st.sampled_from(["r1", "r2", "r3"])
    return _after_commands(
        draw,
        stock,
        [
            lambda: stock.receive(draw(quantities) * 10, draw(causes())),
            lambda: stock.adjust(draw(st.integers(-10, 10)), "count", draw(causes())),
            lambda: stock.reserve(draw(reservation_ids), draw(quantities), draw(instants), draw(causes())),
            lambda: stock.release(draw(reservation_ids), draw(causes())),
            lambda: stock.expire(draw(reservation_ids), draw(causes())),
            lambda: stock.commit(draw(reservation_ids), draw(causes())),
            lambda: stock.restock(draw(quantities), "return", draw(causes())),
        ],
    )


@st.composite
def cart_histories(draw: st.DrawFn, owner: str = "customer:ada") -> list[AnyEvent]:
    cart = Cart.open(owner, draw(causes()))
    skus = st.sampled_from(SKUS)
    order_ids = st.sampled_from(["o1", "o2"])
    items = st.lists(st.builds(Item, skus, quantities), max_size=3, unique_by=lambda item: item.product_id).map(tuple)

    def line() -> CartLine:
        return CartLine(draw(skus), draw(texts), draw(quantities), draw(prices))

    def guest() -> Cart:
        other = Cart.open("guest:someone", draw(causes()))
        for _ in range(draw(st.integers(0, 2))):
            other.add(line(), draw(causes()))
        return other

    return _after_commands(
        draw,
        cart,
        [
            lambda: cart.add(line(), draw(causes())),
            lambda: cart.change_quantity(draw(skus), draw(st.integers(0, 9)), draw(causes())),
            lambda: cart.remove(draw(skus), draw(causes())),
            lambda: cart.clear(draw(causes())),
            lambda: cart.merge(guest(), draw(causes())),
            lambda: Cart.open("customer:other", draw(causes())).merge(cart, draw(causes())),
            lambda: cart.begin_checkout(draw(order_ids), draw(causes())),
            lambda: cart.abandon_checkout(draw(order_ids), draw(causes())),
            lambda: cart.check_out(draw(order_ids), draw(items), draw(causes())),
        ],
    )


@st.composite
def orders(draw: st.DrawFn, order_id: UUID | None = None, owner: str = "customer:ada") -> Order:
    """An order with all its events pending."""
    lines = tuple(
        OrderLine(sku, draw(texts), draw(quantities), draw(prices), "service" if sku == "postage" else "goods")
        for sku in draw(st.lists(st.sampled_from(SKUS), min_size=1, unique=True))
    )
    subtotal = Money.total((line.line_total for line in lines), "GBP")
    fee, tax = draw(prices), draw(prices)
    goods = [line for line in lines if line.kind == "goods"]
    # Each product from a warehouse of its own, so that there may be two shipments.
    shipments = tuple(
        ShipmentPlan(f"s{n}", WAREHOUSES[n], (Item(line.product_id, line.quantity),), draw(instants))
        for n, line in enumerate(goods)
    )
    address = draw(st.builds(Address, texts, texts, texts, texts, texts, st.none() | texts))
    order = Order.submit(
        order_id or draw(st.uuids()),
        owner,
        draw(st.uuids()),
        lines,
        Totals(subtotal, fee, tax, subtotal + fee + tax),
        address,
        "standard",
        shipments,
        draw(causes()),
    )
    shipment_ids = st.sampled_from([plan.shipment_id for plan in shipments] or ["none"])
    return_ids = st.sampled_from(["r0", "r1", "r2"])

    def fulfil() -> None:
        for plan in shipments:
            order.pack(plan.shipment_id, draw(causes()))
            order.ship(plan.shipment_id, "post", "T1", draw(causes()))

    def send_all_back() -> None:
        items = [Item(product_id, quantity) for product_id, quantity in order.returnable.items() if quantity]
        if items:
            order.request_return(f"r{len(order.returns)}", items, "all of it", draw(causes()))

    def send_one_back() -> None:
        sku = draw(st.sampled_from(SKUS))
        order.request_return(f"r{len(order.returns)}", [Item(sku, 1)], draw(texts), draw(causes()))

    _run_commands(
        draw,
        [
            lambda: order.place("pay-1", draw(st.booleans()), draw(causes())),
            lambda: order.fail_payment("declined", draw(causes())),
            lambda: order.capture_payment(order.totals.total, "pay-1", draw(causes())),
            lambda: order.release_payment("pay-1", draw(causes())),
            lambda: order.pack(draw(shipment_ids), draw(causes())),
            lambda: order.ship(draw(shipment_ids), draw(texts), draw(texts), draw(causes())),
            lambda: order.deliver(draw(shipment_ids), draw(causes())),
            lambda: order.cancel(draw(st.none() | texts), draw(causes())),
            fulfil,
            send_one_back,
            send_all_back,
            lambda: order.receive_return(draw(return_ids), draw(causes())),
            lambda: order.refund(draw(return_ids), draw(prices), "ref", draw(causes())),
            lambda: order.refund("rest", order.totals.total - order.refunded, "ref", draw(causes())),
        ],
        first=[lambda: order.place("pay-1", draw(st.booleans()), draw(causes()))] if draw(st.booleans()) else [],
    )
    return order


@st.composite
def logs(draw: st.DrawFn) -> list[Recorded]:
    """Streams of every kind that a view is made of, woven into one log; positions rise, with gaps."""
    streams: list[list[AnyEvent]] = [
        draw(product_histories("lamp")),
        draw(stock_histories("lamp", "north")),
        draw(stock_histories("lamp", "south")),
        draw(cart_histories()),
        pending(draw(orders(UUID(int=1)))),
        pending(draw(orders(UUID(int=2)))),
    ]
    turns = draw(st.permutations([n for n, stream in enumerate(streams) for _ in stream]))
    remaining = [iter(stream) for stream in streams]
    position, log = 0, []
    for turn in turns:
        position += draw(st.sampled_from([1, 1, 1, 3]))
        log.append(Recorded(position, next(remaining[turn])))
    return log


def pending(aggregate: EventSourced) -> list[AnyEvent]:
    """All events of an aggregate that nobody has collected yet."""
    return list(cast(list[AnyEvent], aggregate.pending_events))


def _after_commands(draw: st.DrawFn, aggregate: EventSourced, commands: Sequence[Callable[[], Any]]) -> list[AnyEvent]:
    _run_commands(draw, commands)
    return pending(aggregate)


def _run_commands(
    draw: st.DrawFn, commands: Sequence[Callable[[], Any]], first: Sequence[Callable[[], Any]] = ()
) -> None:
    chosen = draw(st.lists(st.sampled_from(range(len(commands))), max_size=COMMANDS_LIMIT_COUNT))
    for command in [*first, *(commands[n] for n in chosen)]:
        with suppress(DomainError):
            command()
