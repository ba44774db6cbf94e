"""Limits per customer: what somebody's orders have of a product, by their own fate, is within the limit of the day."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil.simulation.checker.evidence import Event
from counterfoil.simulation.checker.orders import Order

Had = tuple[str, str]  # order, product


@dataclass(slots=True)
class _Book:
    taken: dict[Had, Event] = field(default_factory=dict)
    given_back: dict[Had, Event] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


def broken_allowances(
    products: Sequence[Event], allowances: Sequence[Event], orders: Mapping[str, Order]
) -> Iterator[str]:
    book = _read(allowances)
    yield from book.violations
    due = yield from _within_limits(products, orders)
    for had in due.keys() | book.taken.keys():
        taken = book.taken.get(had)
        written = (taken.data["quantity"], taken.data["limit"]) if taken is not None else None
        if written != due.get(had):
            yield f"{had}: {written} is written down as taken, of a limit, and it is {due.get(had)}"
    for had, event in book.taken.items():
        yield from _given_back(had, event, book.given_back.get(had), orders.get(had[0]))


def _read(events: Sequence[Event]) -> _Book:
    book = _Book()
    product_of: dict[str, str] = {}
    for event in events:
        if event.topic == "allowance.opened.v1":
            product_of[event.stream] = event.data["product_id"]
            continue
        had = (event.data["order_id"], product_of[event.stream])
        written = book.taken if event.topic == "allowance.taken.v1" else book.given_back
        if had in written:
            book.violations.append(f"{event.topic} twice: {had} at {event.position}")
        written[had] = event
    return book


def _within_limits(
    products: Sequence[Event], orders: Mapping[str, Order]
) -> Generator[str, None, dict[Had, tuple[int, int]]]:
    """Returns what each order has to take, and of which limit."""
    moments: list[tuple[int, str, Any]] = [(event.position, "product", event) for event in products]
    for order in orders.values():
        moments.append((order.submitted.position, "order", order))
        given_up = order.failed or order.cancelled
        if given_up is not None:
            moments.append((given_up.position, "given up", order))
    limits: dict[str, int | None] = {}
    held: dict[tuple[str, str], dict[str, int]] = {}
    due: dict[Had, tuple[int, int]] = {}
    for position, kind, about in sorted(moments, key=lambda moment: moment[0]):
        if kind == "product":
            if "limit_per_customer" in about.data:
                limits[about.data["sku"]] = about.data["limit_per_customer"]
            continue
        owner = about.submitted.data["owner"]
        for line in about.submitted.data["lines"]:
            sku = line["product_id"]
            mine = held.setdefault((owner, sku), {})
            if kind == "given up":
                mine.pop(about.id, None)
                continue
            limit = limits.get(sku)
            if limit is None:
                continue
            mine[about.id] = line["quantity"]
            due[about.id, sku] = (line["quantity"], limit)
            if sum(mine.values()) > limit:
                yield f"{owner} has {mine} of {sku} at {position}, and the limit is {limit}"
    return due


def _given_back(had: Had, taken: Event, back: Event | None, order: Order | None) -> Iterator[str]:
    end = order.failed or order.cancelled if order is not None else None
    if end is None:
        if back is not None:
            yield f"{had}: given back at {back.position}, and the order stands"
    elif back is None or back.cause != end.cause or back.data["quantity"] != taken.data["quantity"]:
        yield f"{had}: the order came to nothing at {end.position}, and given back was {back}"
