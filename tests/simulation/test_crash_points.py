"""A process dies before and after each append and each call to the provider, on every path that a checkout can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from counterfoil.simulation.faults import Fault, FaultKind
from counterfoil.simulation.history import History
from counterfoil.simulation.run import run
from counterfoil.simulation.scenario import Action, Person, Scenario
from counterfoil.simulation.verdict import judge

COMES_AT_SECONDS: Final = 5.0
CRASHES: Final[tuple[FaultKind, ...]] = (
    "crash_before_append",
    "crash_after_append",
    "crash_before_call",
    "crash_after_call",
)


@dataclass(frozen=True)
class Path:
    """`ends` are the statuses the order may come to; without a crash it is the first, and `books` the provider's."""

    token: str
    ends: tuple[str, ...]
    afterwards: tuple[Action, ...] = ()
    faults: tuple[Fault, ...] = ()
    second: Person | None = None
    books: tuple[str, ...] = ("authorised", "captured")

    def scenario(self, *more: Fault) -> Scenario:
        actions = (Action("add", 0.0, "lamp", 2), Action("check_out", 0.1, token=self.token), *self.afterwards)
        shopper = Person("customer:ada", COMES_AT_SECONDS, actions)
        people = (shopper,) if self.second is None else (shopper, self.second)
        return Scenario(1, (("lamp", "north", 5),), people, (*self.faults, *more), shuffled=False)


DARK: Final = Fault("provider_away", COMES_AT_SECONDS + 60, seconds=900.0)
# The payment is authorised, and the provider away before it is asked to take it.
HELD: Final = (
    Fault("call_refused", COMES_AT_SECONDS, skip_count=1),
    Fault("provider_away", COMES_AT_SECONDS + 1, seconds=500.0),
)
LATE_WEBHOOK: Final = Fault("webhook_late", COMES_AT_SECONDS, seconds=700.0)
CANCELS: Final = (Action("cancel", 5.0),)
SHIPS: Final = Person("operator", COMES_AT_SECONDS + 10, tuple(Action("fulfil", 10.0) for _ in range(4)))
TAKES_BACK: Final = Person(
    "operator", SHIPS.comes_at_seconds, (*SHIPS.actions, *(Action("take_back", 60.0) for _ in range(8)))
)
SENT_STATUSES: Final = ("refunded", "returned", "delivered", "shipped", "packed", "placed")
HELD_AND_TAKEN: Final = ("authorised", "captured")
PAID_BACK: Final = (*HELD_AND_TAKEN, "refunded")
LET_GO: Final = ("authorised", "released")


def sends_back(quantity: int) -> tuple[Action, ...]:
    return (Action("return", 100.0, quantity=quantity),)


PATHS: Final = {
    "ok": Path("tok_ok", ("placed",)),
    "declined": Path("tok_declined", ("payment_failed",), books=()),
    "timeout": Path("tok_timeout", ("placed",)),
    "slow": Path("tok_slow_4000", ("placed",)),
    "very slow": Path("tok_slow_20000", ("placed",)),
    "error_then_ok": Path("tok_error_then_ok", ("placed",)),
    "webhook": Path("tok_webhook", ("placed",)),
    "webhook declined": Path("tok_webhook_declined", ("payment_failed",), books=()),
    "expired": Path("tok_late_800", ("payment_failed",), books=()),
    "expired unknown": Path("tok_late_3000", ("payment_failed",), faults=(DARK,), books=()),
    "authorised too late": Path("tok_late_700", ("payment_failed",), faults=(DARK,), books=LET_GO),
    "withdrawn": Path("tok_late_300", ("cancelled", "payment_failed"), CANCELS, books=()),
    "cancelled": Path("tok_ok", ("cancelled", "placed"), CANCELS, books=PAID_BACK),
    "returned": Path("tok_ok", SENT_STATUSES, sends_back(2), second=TAKES_BACK, books=PAID_BACK),
    "capture error then ok": Path("tok_capture_error_then_ok", ("placed",)),
    "capture told by webhook": Path("tok_capture_timeout", ("placed",)),
    "capture told late": Path("tok_capture_timeout", ("placed",), faults=(LATE_WEBHOOK,)),
    "capture refused": Path("tok_capture_refused", ("cancelled",), books=LET_GO),
    "capture refused late": Path("tok_capture_refused", ("cancelled",), faults=HELD, books=LET_GO),
    "capture refused on its way": Path(
        "tok_capture_refused", SENT_STATUSES[2:], faults=HELD, second=SHIPS, books=LET_GO
    ),
    "captured late": Path("tok_ok", ("placed",), faults=HELD),
    "cancelled before it was captured": Path("tok_ok", ("cancelled",), CANCELS, HELD, books=LET_GO),
    "returned in part before it was captured": Path(
        "tok_ok", SENT_STATUSES[2:], sends_back(1), HELD, TAKES_BACK, (*HELD_AND_TAKEN, "released")
    ),
    "returned before it was captured": Path("tok_ok", SENT_STATUSES, sends_back(2), HELD, TAKES_BACK, LET_GO),
}


# Half an hour of the shop's time, for each of dozens of points.
LASTING: Final = ("expired unknown", "authorised too late", "returned before it was captured")
LONG: Final = pytest.mark.long


def points(history: History) -> Iterator[tuple[FaultKind, int]]:
    """Every one that there is from the shopper's coming on, and a few beyond."""
    appends_count = sum(at > COMES_AT_SECONDS for at in set(history.committed_at_seconds)) + 3
    calls_count = history.occasions_count["call"] + 2
    for kind in CRASHES:
        for number in range(appends_count if kind.endswith("append") else calls_count):
            yield kind, number


def statuses(history: History) -> list[str]:
    return list(history.order_statuses().values())


@pytest.mark.parametrize("name", PATHS)
def test_without_a_crash_the_path_is_the_one_that_is_meant(name: str) -> None:
    verdict = judge(PATHS[name].scenario())

    assert verdict.violations == []
    assert statuses(verdict.history) == [PATHS[name].ends[0]]
    assert tuple(entry["kind"] for entry in verdict.history.books) == PATHS[name].books


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG if name in LASTING else ()) for name in PATHS])
def test_a_crash_at_any_point_of_the_path_breaks_no_promise(name: str) -> None:
    path = PATHS[name]
    crashes_count = 0
    for kind, number in points(run(path.scenario())):
        verdict = judge(path.scenario(Fault(kind, COMES_AT_SECONDS, skip_count=number)))
        assert verdict.violations == [], verdict.told()
        crashes_count += verdict.history.crashes_count
        assert set(statuses(verdict.history)) <= {*path.ends, "placed", "payment_failed", "cancelled"}, verdict.told()
    assert crashes_count >= 8


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PATHS)
def test_two_crashes_on_one_path_do_not_either(name: str) -> None:
    path = PATHS[name]
    crashes = list(points(run(path.scenario())))
    for first in crashes:
        for second in _close_by(crashes, first):
            faults = [Fault(kind, COMES_AT_SECONDS, skip_count=number) for kind, number in (first, second)]
            verdict = judge(path.scenario(*faults))
            assert verdict.violations == [], verdict.told()


def _close_by(
    crashes: Sequence[tuple[FaultKind, int]], first: tuple[FaultKind, int]
) -> Iterator[tuple[FaultKind, int]]:
    return ((kind, number) for kind, number in crashes if 0 <= number - first[1] <= 2)
