"""The checker itself: histories that are known to be good or bad, and a plain one that tries every order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fault.linearizability import NotLinearizable, Operation, TooManyStates, ensure_linearizable
from tests.fault.stock_model import (
    CountRefused,
    Effect,
    Figures,
    GivenBack,
    Looked,
    Offered,
    Received,
    Refused,
    Reserved,
    Restocked,
    Sold,
    Stock,
    step,
    too_late,
)

FIVE = Stock(on_hand=5, version=2)
FOUR_HUNDRED = Stock(on_hand=400, version=2)
History = list[Operation[Effect]]


def did(what: Effect, called: float, returned: float | None) -> Operation[Effect]:
    return Operation(what, called, returned)


def bought(order: str, quantity: int, called: float, returned: float) -> History:
    """Told 201: within its time it held its units, and sold them."""
    return [did(Reserved(order, quantity), called, returned), did(Sold(order, quantity), called, returned)]


GOOD: dict[str, History] = {
    "nothing happened": [],
    "one after another": [*bought("a", 2, 0, 1), *bought("b", 3, 2, 3), did(Refused(1, 0), 4, 5)],
    "the last unit went to whoever asked later": [
        *bought("a", 3, 0, 9),
        *bought("b", 2, 1, 2),
        did(Refused(1, 0), 3, 8),
    ],
    "refused while another held it, which then gave it back": [
        did(Reserved("a", 5), 0, 9),
        did(GivenBack("a", 5), 0, 9),
        did(Refused(1, 0), 1, 2),
        *bought("b", 5, 3, 8),
    ],
    "a receipt that nobody was told of was made": [
        did(Received(4), 0, None),
        did(Looked(9, 0, 0, 3), 10, 11),
    ],
    "a receipt that nobody was told of was not made": [
        did(Received(4), 0, None),
        did(Looked(5, 0, 0, 2), 10, 11),
    ],
    "a receipt that nobody was told of was made later": [
        did(Received(4), 0, None),
        did(Looked(5, 0, 0, 2), 10, 11),
        did(Looked(9, 0, 0, 3), 12, 13),
    ],
    "sold, and sent back": [
        *bought("a", 5, 0, 1),
        did(Refused(1, 0), 2, 3),
        did(Restocked("a", 5), 4, 5),
        did(Offered(5), 6, 7),
        did(Looked(5, 0, 0, 5), 8, 9),
    ],
    "figures of the moment": [
        did(Reserved("a", 2), 0, 9),
        did(Received(1, Figures(6, 2, 4)), 1, 2),
        did(CountRefused(-5, 6, 2), 3, 4),
        did(Sold("a", 2), 3, 9),
    ],
}
BAD: dict[str, History] = {
    "oversold": [*bought("a", 3, 0, 9), *bought("b", 3, 0, 9)],
    "refused although there was enough all the time": [*bought("a", 2, 0, 1), did(Refused(3, 2), 2, 3)],
    "refused for a sale that had not been asked for": [did(Refused(1, 0), 0, 1), *bought("a", 5, 2, 3)],
    "a receipt that was lost": [did(Received(4, Figures(9, 0, 3)), 0, 1), did(Looked(5, 0, 0, 2), 2, 3)],
    "a receipt that came twice": [did(Received(4, Figures(9, 0, 3)), 0, 1), did(Looked(13, 0, 0, 4), 2, 3)],
    "an answer before its effect": [*bought("a", 2, 0, 1), did(Looked(5, 0, 0, 2), 2, 3)],
    "held after it was said to be sold": [*bought("a", 2, 0, 1), did(Looked(5, 2, 0, 3), 2, 3)],
    "sold without being held": [did(Sold("a", 1), 0, 1)],
    "released twice": [did(Reserved("a", 1), 0, 1), *[did(GivenBack("a", 1), 2, n) for n in (3, 4)]],
    "sent back twice": [*bought("a", 2, 0, 1), *[did(Restocked("a", 2), 2, n) for n in (3, 4)]],
    "seen, and then not seen any more": [
        did(Received(4), 0, None),
        did(Looked(9, 0, 0, 3), 1, 2),
        did(Looked(5, 0, 0, 2), 3, 4),
    ],
    "known before it was asked for": [did(Looked(9, 0, 0, 3), 0, 1), did(Received(4), 2, None)],
    "a cart that took more than there was": [*bought("a", 4, 0, 1), did(Offered(2), 2, 3)],
    "a count that took what was reserved": [did(Reserved("a", 5), 0, 1), did(Received(-1), 2, 3)],
    "figures of another moment": [*bought("a", 1, 0, 1), did(Received(2, Figures(7, 0, 3)), 2, 3)],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_explained(name: str) -> None:
    order = ensure_linearizable(GOOD[name], FIVE, step, too_late=too_late)
    assert is_explained(GOOD[name], order)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_not(name: str) -> None:
    with pytest.raises(NotLinearizable) as found:
        ensure_linearizable(BAD[name], FIVE, step, too_late=too_late)
    assert found.value.stuck
    assert set(found.value.stuck).isdisjoint(found.value.longest)


def test_who_gives_up_does_not_say_yes() -> None:
    held = [did(Reserved(f"order-{n}", n), 0, 99) for n in range(20)]
    with pytest.raises(TooManyStates):
        ensure_linearizable([*held, did(Looked(400, 95, 0, 8), 0, 99)], FOUR_HUNDRED, step, states_limit_count=1_000)


def test_a_long_history_of_many_at_once_is_soon_explained() -> None:
    history: History = []
    for n in range(400):
        history += bought(f"order-{n}", 1, n, n + 9.5)
        if n % 20 == 19:
            history.append(did(Offered(1), n + 0.25, n + 0.5))
    order = ensure_linearizable(history, FOUR_HUNDRED, step, states_limit_count=5_000)
    assert is_explained(history, order, FOUR_HUNDRED)


# Histories that were: something was done one after another, and each client's time is a little wider than its moment.

ORDERS = ("a", "b", "c")
QUANTITIES = st.integers(1, 3)


@st.composite
def steps_that_were(draw: st.DrawFn, steps_limit_count: int = 25) -> list[tuple[Effect, bool]]:
    """Effects one after another, with the figures of their moment; whether each was told to its client."""
    stock, done = FIVE, list[tuple[Effect, bool]]()
    quantities: dict[str, int] = {}
    for number in range(draw(st.integers(0, steps_limit_count))):
        what = draw(_effects(stock, number, quantities))
        after = step(stock, what)
        if after is None:
            continue
        certain = after == stock or draw(st.booleans()) or draw(st.booleans())
        if isinstance(what, Received) and certain:
            what = Received(what.quantity, Figures(after.on_hand, after.reserved, after.version))
        done.append((what, certain))
        stock = after
    return done


def _effects(stock: Stock, number: int, quantities: dict[str, int]) -> st.SearchStrategy[Effect]:
    order = f"order-{number}"

    def reserve(quantity: int) -> Effect:
        quantities[order] = quantity
        return Reserved(order, quantity)

    kinds: list[st.SearchStrategy[Effect]] = [
        QUANTITIES.map(Received),
        QUANTITIES.map(reserve),
        st.just(Looked(stock.on_hand, stock.reserved, stock.committed, stock.version)),
        st.just(Refused(stock.available + 1, stock.available)),
        st.just(CountRefused(-stock.available - 1, stock.on_hand, stock.reserved)),
        st.integers(0, stock.available).map(Offered),
    ]
    if stock.held:
        held = st.sampled_from(sorted(stock.held))
        kinds += [
            held.map(lambda one: Sold(one, quantities[one])),
            held.map(lambda one: GivenBack(one, quantities[one])),
        ]
    if stock.sold:
        kinds.append(st.sampled_from(sorted(stock.sold)).map(lambda one: Restocked(one, quantities[one])))
    return st.one_of(kinds)


@given(st.data())
def test_what_was_done_one_after_another_is_always_explained(data: st.DataObject) -> None:
    done = data.draw(steps_that_were())
    history: History = []
    for moment, (what, certain) in enumerate(done):
        called = moment - data.draw(st.integers(0, 4))
        history.append(did(what, called, moment + data.draw(st.integers(0, 4)) if certain else None))
    history = data.draw(st.permutations(history))
    assert is_explained(history, ensure_linearizable(history, FIVE, step, too_late=too_late))


EFFECTS: st.SearchStrategy[Effect] = st.one_of(
    st.builds(Received, st.integers(-2, 3)),
    st.builds(
        Received, st.integers(1, 2), st.builds(Figures, st.integers(5, 8), st.sampled_from((0, 2)), st.integers(3, 5))
    ),
    st.builds(Looked, st.integers(5, 8), st.sampled_from((0, 2)), st.sampled_from((0, 2)), st.integers(2, 5)),
    st.builds(Reserved, st.sampled_from(ORDERS), st.just(2)),
    st.builds(Sold, st.sampled_from(ORDERS), st.just(2)),
    st.builds(GivenBack, st.sampled_from(ORDERS), st.just(2)),
    st.builds(Refused, st.integers(1, 6), st.integers(0, 5)),
    st.builds(Offered, st.integers(0, 6)),
)


@st.composite
def small_histories(draw: st.DrawFn) -> History:
    history = []
    for _ in range(draw(st.integers(0, 5))):
        called = draw(st.integers(0, 6))
        returned = draw(st.none() | st.integers(called, called + 4))
        history.append(did(draw(EFFECTS), called, returned))
    return history


@given(small_histories())
def test_it_says_what_trying_every_order_says(history: History) -> None:
    try:
        order = ensure_linearizable(history, FIVE, step, too_late=too_late)
    except NotLinearizable:
        assert not any(is_explained(history, order) for order in every_order(history))
    else:
        assert is_explained(history, order)


def every_order(history: History) -> list[tuple[int, ...]]:
    certain = [place for place, one in enumerate(history) if one.is_certain]
    return [
        order
        for length in range(len(certain), len(history) + 1)
        for order in permutations(range(len(history)), length)
        if set(certain) <= set(order)
    ]


def is_explained(history: Sequence[Operation[Effect]], order: Sequence[int], first: Stock = FIVE) -> bool:
    """In the order of real time, with all that was answered in it, and every step possible."""
    if {place for place, one in enumerate(history) if one.is_certain} - set(order) or len(set(order)) < len(order):
        return False
    state: Stock | None = first
    for n, place in enumerate(order):
        for later in order[n + 1 :]:
            returned = history[later].returned
            if returned is not None and returned < history[place].called:
                return False
        assert state is not None
        state = step(state, history[place].what)
        if state is None:
            return False
    return True
