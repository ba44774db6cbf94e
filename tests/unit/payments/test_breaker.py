from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from commandside.payments.breaker import TRIAL_RETRY_SECONDS, Bounds, Breaker, Call, CircuitOpen

BOUNDS = Bounds(failures_limit_count=3, open_seconds=5.0, window_calls_count=10, window_seconds=60.0)


class Circuit:
    """A breaker, its clock, and what it told of itself."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self.told: list[str] = []
        self.at = 100.0
        self.breaker = Breaker(bounds, self.told.append)

    def begin(self) -> Call:
        return self.breaker.begin(self.at)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.failed(self.begin(), self.at)

    def answer(self) -> None:
        self.breaker.answered(self.begin(), self.at)

    def refuses_for(self) -> float:
        with pytest.raises(CircuitOpen) as refused:
            self.begin()
        return refused.value.retry_after_seconds

    @property
    def state(self) -> str:
        return self.breaker.state(self.at)


@pytest.fixture
def circuit() -> Circuit:
    return Circuit()


@pytest.fixture
def opened(circuit: Circuit) -> Circuit:
    circuit.fail(3)
    return circuit


@pytest.fixture
def half_open(opened: Circuit) -> Circuit:
    opened.at += 5
    return opened


def test_failures_in_a_row_open_it(circuit: Circuit) -> None:
    circuit.fail(2)
    assert circuit.state == "closed"
    circuit.fail()
    assert (circuit.state, circuit.told) == ("open", ["open"])


def test_an_answer_between_them_keeps_it_closed(circuit: Circuit) -> None:
    for _ in range(4):
        circuit.fail(2)
        circuit.answer()
        circuit.answer()
        circuit.answer()
    assert circuit.told == []


def test_half_of_the_calls_of_a_window_open_it_too(circuit: Circuit) -> None:
    for _ in range(4):
        circuit.answer()
        circuit.fail()
    circuit.answer()
    assert circuit.told == []
    circuit.fail()
    assert circuit.told == ["open"]


def test_failures_of_long_ago_do_not(circuit: Circuit) -> None:
    for _ in range(20):
        circuit.at += 20
        circuit.answer()
        circuit.fail()
    assert circuit.told == []


def test_open_it_lets_nothing_through_and_says_for_how_long(opened: Circuit) -> None:
    opened.at += 2
    assert opened.refuses_for() == 3.0
    assert opened.breaker.refuses_for_seconds(opened.at) == 3.0


def test_half_open_it_lets_one_through_at_a_time(half_open: Circuit) -> None:
    assert half_open.state == "half_open"
    half_open.begin()
    assert half_open.refuses_for() == TRIAL_RETRY_SECONDS


def test_a_trial_that_is_answered_closes_it(half_open: Circuit) -> None:
    half_open.answer()
    assert (half_open.state, half_open.told) == ("closed", ["open", "closed"])
    half_open.fail(2)
    assert half_open.state == "closed", "counted from the beginning"


@pytest.mark.parametrize("how", ["failed", "silent"])
def test_a_trial_that_fails_opens_it_anew(half_open: Circuit, how: str) -> None:
    getattr(half_open.breaker, how)(half_open.begin(), half_open.at)
    assert half_open.refuses_for() == 5.0
    half_open.at += 5
    half_open.answer()
    assert half_open.state == "closed"


def test_a_trial_that_is_given_up_makes_room_for_the_next(half_open: Circuit) -> None:
    half_open.breaker.given_up(half_open.begin())
    assert half_open.state == "half_open"
    half_open.answer()
    assert half_open.state == "closed"


def test_what_began_before_it_opened_says_nothing_about_now(circuit: Circuit) -> None:
    early, earlier = circuit.begin(), circuit.begin()
    circuit.fail(3)
    circuit.breaker.answered(early, circuit.at)
    assert circuit.state == "open"
    circuit.at += 5
    circuit.answer()
    circuit.fail(2)
    circuit.breaker.failed(earlier, circuit.at)
    assert circuit.state == "closed"


def test_silence_towards_everybody_opens_it(circuit: Circuit) -> None:
    circuit.answer()
    calls = [circuit.begin() for _ in range(3)]
    circuit.at += 3
    for call in calls:
        circuit.breaker.silent(call, circuit.at)
    assert circuit.state == "open"


def test_silence_of_single_payments_does_not_while_others_are_answered(circuit: Circuit) -> None:
    calls = [circuit.begin() for _ in range(20)]
    circuit.at += 1
    circuit.answer()
    circuit.at += 2
    for call in calls:
        circuit.breaker.silent(call, circuit.at)
    assert circuit.told == []


class AnyCalls(RuleBasedStateMachine):
    """Calls that begin, end in every way and at every time, and overlap as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.under_way: list[Call] = []

    @property
    def trials(self) -> list[Call]:
        return [call for call in self.under_way if call.is_trial]

    @rule(seconds=st.floats(0, 7))
    def time_passes(self, seconds: float) -> None:
        self.circuit.at += seconds

    @rule()
    def begins(self) -> None:
        wait_seconds = self.circuit.breaker.refuses_for_seconds(self.circuit.at)
        try:
            self.under_way.append(self.circuit.begin())
        except CircuitOpen as refused:
            assert refused.retry_after_seconds == wait_seconds
            assert 0 < wait_seconds <= BOUNDS.open_seconds
        else:
            assert wait_seconds is None

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["answered", "failed", "silent", "given_up"]))
    def ends(self, data: st.DataObject, how: str) -> None:
        call = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if how == "given_up":
            self.circuit.breaker.given_up(call)
        else:
            getattr(self.circuit.breaker, how)(call, self.circuit.at)

    @invariant()
    def never_more_than_one_trial(self) -> None:
        assert len(self.trials) <= 1
        if self.trials:
            assert self.circuit.state == "half_open"

    @rule()
    def the_provider_is_back(self) -> None:
        """Within the time that it stays open, and one call, all pass again."""
        for call in self.trials:
            self.circuit.breaker.answered(call, self.circuit.at)
            self.under_way.remove(call)
        if self.circuit.state != "closed":
            self.circuit.at += BOUNDS.open_seconds
            self.circuit.answer()
        assert self.circuit.state == "closed"
        first, second = self.circuit.begin(), self.circuit.begin()
        self.circuit.breaker.answered(first, self.circuit.at)
        self.circuit.breaker.answered(second, self.circuit.at)


TestAnyCalls = AnyCalls.TestCase
