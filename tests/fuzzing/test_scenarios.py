"""Scenarios along the links of both pages: whatever came before, the answer is one that the page has."""

from __future__ import annotations

from typing import Any

import pytest
from schemathesis import Case
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import JsonSchemaError, UndefinedStatusCode

from tests.e2e.running_shop import RunningShop
from tests.fuzzing.asking import FIRST_SEED, SEED_VARIABLE
from tests.fuzzing.both_pages import both_pages
from tests.fuzzing.counts import PROMISED_COUNT, REQUESTS_COUNT
from tests.fuzzing.scenarios import Told, play, scenarios_of
from tests.profiles import profile

TIMEOUT_SECONDS = {"short": 240, "long": 1_800}[profile()]
SCENARIOS_COUNT = {"short": 4, "long": 20}[profile()]  # of one seed
INFERRED = {"short": (False,), "long": (False, False, True)}[profile()]  # one seed after the other
GIVEN_UP_SHARE = 0.2
LEAST_STEPS_COUNT = 20
ATTEMPTS_COUNT = 3
ORDER = "POST /v1/orders/{order_id}"
SHIPMENT = f"{ORDER}/shipments/{{shipment_id}}"
PLACED = ("POST /v1/checkout", 201)
DEEP = (
    ("POST /v1/products", 201),
    ("POST /v1/inventory/{sku}/receive", 200),
    ("POST /v1/inventory/{sku}/adjust", 200),
    ("POST /v1/cart/merge", 200),
    PLACED,
    ("POST /v1/checkout", 402),
    (f"{ORDER}/cancel", 200),
    (f"{ORDER}/cancel", 409),
    (f"{SHIPMENT}/pack", 200),
    (f"{SHIPMENT}/ship", 200),
    (f"{SHIPMENT}/deliver", 200),
    (f"{ORDER}/returns", 201),
    (f"{ORDER}/returns/{{return_id}}/receive", 200),
    ("GET /v1/orders/{order_id}", 200),
)


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_every_answer_in_every_scenario_is_one_that_the_page_has(shop: RunningShop) -> None:
    told = Told()
    machines = [scenarios_of(shop, told, inferred=also) for also in INFERRED]
    seeds, given_up = 0, 0
    while told.requests_count < REQUESTS_COUNT["scenarios"]:
        given_up += not play(machines[seeds % len(machines)], FIRST_SEED + seeds, SCENARIOS_COUNT)
        seeds += 1
    assert given_up < seeds and given_up <= 2 + GIVEN_UP_SHARE * seeds, (
        f"{given_up} of {seeds} seeds: the clock decides too much"
    )
    wanted = DEEP if profile() == "long" else (PLACED,)
    assert {each: told.answers[each] for each in wanted if not told.answers[each]} == {}, told.answers
    assert {200, 404, 409, 422} <= told.statuses()


def test_all_that_is_asked_is_what_was_promised() -> None:
    assert sum(REQUESTS_COUNT.values()) >= PROMISED_COUNT


@pytest.mark.long
def test_a_seed_plays_the_same_scenarios_again(shop: RunningShop) -> None:
    told = Told()
    machine = scenarios_of(shop, told, inferred=False)

    def played(seed: int) -> list[list[tuple[str, int]]]:
        told.scenarios.clear()
        play(machine, seed, scenarios_count=2)
        # Without what a view answered: whether it held something already is a matter of time.
        return [[each for each in scenario if not each[0].startswith("GET")] for scenario in told.scenarios]

    # Where a view is late, another answer of it opens another way on: seldom, and not three times.
    twice = [(played(3), played(3)) for _ in range(ATTEMPTS_COUNT)]
    same = [first for first, second in twice if first == second]
    assert same, twice
    assert same[0] != played(4)
    assert sum(map(len, same[0])) > LEAST_STEPS_COUNT


def test_an_answer_that_the_page_does_not_have_is_found(shop: RunningShop) -> None:
    page, _ = both_pages(shop)
    page["components"]["schemas"]["CartAnswer"]["properties"]["version"] = {"type": "string"}
    with pytest.raises(FailureGroup) as caught:
        _play_until_found(scenarios_of(shop, Told(), inferred=False, page=page))
    assert isinstance(caught.value.exceptions[0], JsonSchemaError)
    assert any(SEED_VARIABLE in note for note in caught.value.__notes__)


def test_a_status_that_the_page_does_not_have_is_found(shop: RunningShop) -> None:
    page, _ = both_pages(shop)
    del page["paths"]["/v1/checkout"]["post"]["responses"]["409"]
    with pytest.raises(FailureGroup) as caught:
        _play_until_found(scenarios_of(shop, Told(), inferred=False, page=page))
    assert isinstance(caught.value.exceptions[0], UndefinedStatusCode)


def test_a_fault_after_an_order_was_placed_is_found(shop: RunningShop) -> None:
    class Faulty(scenarios_of(shop, Told(), inferred=False)):  # type: ignore[misc]
        placed = False

        def call(self, case: Case[Any], **kwargs: Any) -> Response:
            answer: Response = super().call(case, **kwargs)
            if self.placed and case.operation.label == "GET /v1/cart":
                answer.status_code = 500
            self.placed |= (case.operation.label, answer.status_code) == PLACED
            return answer

    with pytest.raises(AssertionError, match="/v1/cart"):
        _play_until_found(Faulty)


def _play_until_found(machine: Any) -> None:
    for seed in range(5):
        play(machine, seed, scenarios_count=10)
