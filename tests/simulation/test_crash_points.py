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
    """`ends` are the statuses the order may come to; without a crash it is the first, and `books` what was paid."""

    token: str
    ends: tuple[str, ...]
    afterwards: tuple[Action, ...] = ()
    faults: tuple[Fault, ...] = ()
    second: Person | None = None
    books: tuple[str, ...] = ("charged",)

    def scenario(self, *more: Fault) -> Scenario:
        actions = (Action("add", 0.0, "lamp", 2), Action("check_out", 0.1, token=self.token), *self.afterwards)
        shopper = Person("customer:ada", COMES_AT_SECONDS, actions)
        people = (shopper,) if self.second is None else (shopper, self.second)
        return Scenario(1, (("lamp", "north", 5),), people, (*self.faults, *more), shuffled=False)


DARK: Final = Fault("provider_away", COMES_AT_SECONDS + 60, seconds=900.0)
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
    "late success": Path("tok_late_700", ("payment_failed",), faults=(DARK,), books=("charged", "refunded")),
    "withdrawn": Path("tok_late_300", ("cancelled", "payment_failed"), afterwards=(Action("cancel", 5.0),), books=()),
    "cancelled": Path(
        "tok_ok", ("cancelled", "placed"), afterwards=(Action("cancel", 5.0),), books=("charged", "refunded")
    ),
    "returned": Path(
        "tok_ok",
        ("refunded", "returned", "delivered", "shipped", "packed", "placed"),
        afterwards=(Action("return", 300.0, quantity=2),),
        second=Person(
            "operator",
            COMES_AT_SECONDS + 60,
            (*(Action("fulfil", 20.0) for _ in range(4)), *(Action("take_back", 60.0) for _ in range(5))),
        ),
        books=("charged", "refunded"),
    ),
}


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


@pytest.mark.parametrize("name", PATHS)
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
