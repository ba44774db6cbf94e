"""Deadlines: what is begun comes to an end in its time, whatever goes wrong meanwhile.

Not counted is what the faults themselves keep away: the seconds in which no process could write, or time itself jumped;
and where the provider has to be asked, those in which somebody could not reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from counterfoil.simulation.checker.evidence import Event, Evidence, Span
from counterfoil.simulation.checker.orders import Order
from counterfoil.simulation.checker.receipts import ReceiptBook

# After the reservation's time is up: the checkout is over, its reservations with it, and its shopper has an answer.
ENDS_WITHIN_SECONDS = 60.0
# After the order is placed: the money is taken, or let go. The longest pause between two attempts is 300 s, one of them
# may fail by itself, and it is longer by as much as the clock was wrong by which it was measured.
CAPTURES_WITHIN_SECONDS = 660.0


def broken_deadlines(evidence: Evidence, orders: Mapping[str, Order], receipts: ReceiptBook) -> Iterator[str]:
    reading = _Reading(evidence)
    answered = {use.order_id: use.answered for uses in receipts.uses.values() for use in uses if use.answered}
    for order in orders.values():
        if order.started is None or not order.ended:
            continue  # which is said elsewhere
        for broken in (*_ended(order, order.started, reading, answered), *_captured(order, reading)):
            yield f"order {order.id}: {broken}"


class _Reading:
    def __init__(self, evidence: Evidence) -> None:
        self._committed_at_seconds = evidence.committed_at_seconds
        self.clock_error_seconds = evidence.clock_error_seconds
        self.store_outages = _merged(evidence.store_outages)
        self.outages = _merged([*evidence.store_outages, *evidence.provider_outages])

    def at_seconds(self, event: Event) -> float:
        return self._committed_at_seconds[event.position - 1]


def lateness_seconds(order: Order, started: Event, reading: _Reading) -> float:
    """How long after its time was up the checkout ended; negative: before it was.

    Where a clock was wrong it is the less of two: by the time as it was, and by what they took for it who ended it.
    """
    end = order.ended[0]
    ttl_seconds = _seconds_between(started.data["timestamp"], started.data["expires_at"])
    ended_at = reading.at_seconds(end)
    late_by_clock = _seconds_between(started.data["expires_at"], end.data["timestamp"])
    dues = (reading.at_seconds(started) + ttl_seconds, ended_at - late_by_clock)
    return min(_counted(due, ended_at, reading.store_outages) for due in dues)


def _ended(order: Order, started: Event, reading: _Reading, answered: Mapping[str, Event]) -> Iterator[str]:
    late_seconds = lateness_seconds(order, started, reading)
    if late_seconds > ENDS_WITHIN_SECONDS:
        yield f"its checkout ended {late_seconds:.1f} s after its time was up"
    answer = answered.get(order.id)
    if answer is None or reading.at_seconds(answer) > reading.at_seconds(order.ended[0]):
        yield "its checkout ended, and its shopper had no answer"


def _captured(order: Order, reading: _Reading) -> Iterator[str]:
    end = order.captured or order.released or order.refused
    if order.placed is None or end is None or order.was_lost:
        return
    ended_at = reading.at_seconds(end)
    by_clock = _seconds_between(order.placed.data["timestamp"], end.data["timestamp"])
    begins = (reading.at_seconds(order.placed), ended_at - by_clock)
    took_seconds = min(_counted(since, ended_at, reading.outages) for since in begins)
    if took_seconds > CAPTURES_WITHIN_SECONDS + reading.clock_error_seconds:
        yield f"its money was taken or let go {took_seconds:.1f} s after it was placed"


def _counted(since: float, until: float, outages: Sequence[Span]) -> float:
    """The seconds in between, without the outages."""
    return until - since - sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in outages)


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()
