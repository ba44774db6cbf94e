"""Whether a run kept what is promised, found out from outside: nothing of the system is imported here.

It reads the log as it is stored, the provider's own books, and what clients were told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from counterfoil.simulation.checker.allowances import broken_allowances
from counterfoil.simulation.checker.answers import Answers, broken_webhooks
from counterfoil.simulation.checker.carts import read_carts
from counterfoil.simulation.checker.deadlines import broken_deadlines
from counterfoil.simulation.checker.evidence import Event, Evidence, by_cause, by_kind, read_log
from counterfoil.simulation.checker.money import broken_money
from counterfoil.simulation.checker.orders import broken_orders, broken_prices, read_orders
from counterfoil.simulation.checker.receipts import read_receipts
from counterfoil.simulation.checker.stock import read_stock, unended
from counterfoil.simulation.checker.views import broken_views


def violations(evidence: Evidence) -> list[str]:
    """Each a line for people; none when all promises were kept."""
    log = read_log(evidence.rows)
    kinds, causes = by_kind(log), by_cause(log)
    stock = read_stock(kinds.get("stock", ()))
    told = {
        (asked.reply.body.get("cart_id"), asked.reply.body.get("version"))
        for asked in evidence.asked
        if asked.reply is not None
    }
    carts = read_carts(kinds.get("cart", ()), told)
    orders = read_orders(kinds)
    receipts = read_receipts(kinds.get("receipt", ()), orders)
    answers = Answers(evidence.asked, log, causes, receipts, orders, stock, carts)
    return [
        *(f"the product met what it had not expected: {fault}" for fault in evidence.faults_of_ours),
        *_broken_streams(log),
        *stock.violations,
        *unended(stock),
        *carts.violations,
        *broken_orders(orders, stock, causes),
        *broken_prices(kinds.get("product", ()), orders),
        *broken_money(evidence.books, orders, evidence.committed_at_seconds),
        *broken_deadlines(evidence, orders, receipts),
        *broken_allowances(kinds.get("product", ()), kinds.get("allowance", ()), orders),
        *receipts.violations,
        *answers.broken(),
        *broken_webhooks(evidence.webhooks, orders),
        *broken_views(evidence, orders, stock, carts),
    ]


def _broken_streams(log: Sequence[Event]) -> Iterator[str]:
    versions: dict[str, int] = {}
    position = 0
    for event in log:
        if event.version != versions.get(event.stream, 0) + 1 or event.position <= position:
            yield f"version {event.version} of {event.stream} at {event.position}, after {versions.get(event.stream)}"
        versions[event.stream], position = event.version, event.position
