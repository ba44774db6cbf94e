"""What a letter says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from domain.aggregates import Order
from domain.events import AnyEvent
from domain.values import Money
from projections.notifications.wording import KINDS, money, one_line, owner, write
from tests.integration.notifications.post import cause, refunded
from tests.integration.signals.selling import order, submitted


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money(129_900, "GBP"), "GBP 1,299.00"),
        (Money(5, "GBP"), "GBP 0.05"),
        (Money(1_299, "JPY"), "JPY 1,299"),
        (Money(1_299, "KWD"), "KWD 1.299"),
    ],
)
def test_money_is_written_with_the_decimals_of_its_currency(amount: Money, text: str) -> None:
    assert money(amount) == text


def test_each_kind_of_letter_says_what_happened() -> None:
    stream = refunded(1).collect_events()
    letters = [write(stream[: n + 1]) for n, event in enumerate(stream) if type(event) in KINDS]
    subjects = [subject.replace(order_id(stream), "N") for subject, _ in letters]
    assert subjects == [
        "Thank you for your order N",
        "Your order N is on its way",
        "Your order N has been delivered",
        "Your refund for order N",
    ]
    placed, shipped, delivered, refund = (body for _, body in letters)
    for said in ("Dear Ada,", "2 × The lamp: GBP 20.00", "Total: GBP 23.00", "1 Lane", "Leeds", "LS1"):
        assert said in placed
    for said in ("Royal Mail", "RM-1", "Wednesday 4 March 2026", "2 × The lamp"):
        assert said in shipped
    assert "2 × The lamp" in delivered
    assert "GBP 10.00" in refund


@pytest.mark.parametrize(("made", "said"), [(order, "will be refunded"), (submitted, "have not been charged")])
def test_who_cancels_is_told_what_becomes_of_the_money(made: type, said: str) -> None:
    cancelled: Order = made(1, "lamp")
    cancelled.cancel(None, cause(1))
    subject, body = write(cancelled.collect_events())
    assert subject.endswith("has been cancelled")
    assert said in body


def test_what_somebody_typed_in_begins_no_line_of_its_own() -> None:
    assert one_line("Ada\r\nBcc: all@shop.example\x0b!") == "Ada Bcc: all@shop.example !"


def test_nothing_is_said_of_other_events_and_of_streams_without_a_beginning() -> None:
    stream = order(1, "lamp").collect_events()
    with pytest.raises(ValueError, match="nothing to say"):
        write(stream[:1])
    with pytest.raises(ValueError, match="nothing to say"):
        write([])
    for broken in ([], stream[1:]):
        with pytest.raises(ValueError, match="does not begin with its submission"):
            owner(broken)


def order_id(stream: Sequence[AnyEvent]) -> str:
    return str(stream[0].originator_id)
