"""Whole stories that Schemathesis makes up along the links of the two OpenAPI pages: a product, its stock, a cart, an
order, a return; and, by the links that it infers, the same things in the wrong order.

A scenario is alone with its things: customers, products and keys carry its number. So it does the same again whatever
was asked before it, and a seed is enough to have all of it again.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyStrategyDefinition, InvalidDefinition
from hypothesis.stateful import Bundle, initialize
from schemathesis import Case
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.generation.stateful.state_machine import APIStateMachine, StepInput
from schemathesis.specs.openapi.checks import negative_data_rejection
from schemathesis.specs.openapi.stateful import is_root_allowed, transition

from tests.e2e.running_shop import RunningShop
from tests.fuzzing.asking import ADDRESS, ANSWER_TIMEOUT_SECONDS, EXCLUDED, SEED_VARIABLE, SKUS, ensure_answered
from tests.fuzzing.both_pages import both_pages
from tests.profiles import profile

STEPS_COUNT: Final = {"short": 30, "long": 60}[profile()]
# Schemathesis takes what is named like a reference for one, and would not begin with it.
BEGINNINGS: Final = ("POST /v1/products", "POST /v1/cart/items")
OPERATORS: Final = ("/v1/products", "/v1/inventory", "/shipments/", "/receive")
PAYMENT_TOKENS: Final = {
    "tok_ok": 80, "tok_declined": 5, "tok_insufficient_funds": 3, "tok_error_then_ok": 5, "tok_slow_20": 4,
    "tok_webhook": 3,
}  # fmt: skip
# Few enough for a scenario to use one again now and then.
KEYS_COUNT: Final = 20
NO_WAY_ON: Final = "No progress can be made"
PRODUCTS_COUNT: Final = 5
SKU_LIMIT_CHARACTERS: Final = 64
_numbers = count(1)
MEANT_SHARE: Final = 0.9
FOR_A_CUSTOMER_SHARE: Final = 0.5
GUESTS_SHARE: Final = 0.3
# Most carts would be emptied before their checkout, and most orders cancelled before they are packed.
KEEPS_SHARE: Final = 0.7
SPOILING: Final = ("DELETE /v1/cart", "DELETE /v1/cart/items/{product_id}", "POST /v1/orders/{order_id}/cancel")
WAITING_SHARE: Final = 0.002
# Its other half is of the library's own making here: what is made up wrong may be put right on the way.
NOT_CHECKED: Final[Any] = [*EXCLUDED, negative_data_rejection]


@dataclass
class Told:
    """What was asked and answered, by operation and status; and what each scenario asked, in order."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    scenarios: list[list[tuple[str, int]]] = field(default_factory=list)

    @property
    def requests_count(self) -> int:
        return self.answers.total()

    def statuses(self) -> set[int]:
        return {status for _, status in self.answers}


def tidied(value: Any) -> Any:
    """As people send it: whole numbers without a fraction of 0, text without control characters or spaces around it."""
    match value:
        case dict():
            return {name: tidied(item) for name, item in value.items()}
        case list():
            return [tidied(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case str():
            return "".join(filter(str.isprintable, value)).strip() or "0"
        case _:
            return value


def play(machine: type[APIStateMachine], seed: int, scenarios_count: int) -> bool:
    """Plays scenarios; the same ones for the same seed. Raises what is wrong with an answer, with the seed as a note.

    False: it was given up, because a beginning that was played again went another way. Then it hung on the clock
    whether something was there already, and Hypothesis plays no more of a test that depends on more than its choices.
    Or a scenario had come to where no link leads on.
    """
    seeded: Any = type(machine.__name__, (machine,), {})
    hypothesis.seed(seed)(seeded)
    try:
        seeded.run(
            settings=settings(
                max_examples=scenarios_count,
                stateful_step_count=STEPS_COUNT,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
        )
    except FlakyStrategyDefinition:
        return False
    except InvalidDefinition as error:
        if NO_WAY_ON not in str(error):
            raise
        return False
    except BaseException as error:
        error.add_note(f"Once more: {SEED_VARIABLE}={seed}")
        raise
    return True


def scenarios_of(
    shop: RunningShop, told: Told, *, inferred: bool, page: dict[str, Any] | None = None
) -> type[APIStateMachine]:
    """The state machine of both pages; of `page` instead of what the shop shows, where that is given.

    `inferred`: along the links too that nobody declared, where things of one kind seem to go into a question.
    """
    shown, asked_of_query = both_pages(shop)
    schema = schemathesis.openapi.from_dict(page or shown)
    if not inferred:
        schema.config.phases.stateful.inference.algorithms = []
    operations = {each.ok().label: each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)}
    session = requests.Session()
    session.trust_env = False

    class Scenario(schema.as_state_machine()):  # type: ignore[misc]
        @initialize(seed=st.integers(0, 2**63))
        def begin(self, seed: int) -> None:
            self.chance = random.Random(seed)  # noqa: S311 -- choices of callers and keys, no secret
            self.name = f"n{next(_numbers)}"
            self.positions: set[str] = set()
            self.is_guest = self.chance.random() < GUESTS_SHARE
            self.keeps_what_it_has = self.chance.random() < KEEPS_SHARE
            # They have carts too: each scenario has an operator and an auditor of its own.
            self.customer, self.operator, self.auditor = (
                shop.token(f"{self.name}-{role}", role) for role in ("customer", "operator", "auditor")
            )
            self.log: list[tuple[str, int]] = []
            told.scenarios.append(self.log)
            session.cookies.clear()

        def before_call(self, case: Case[Any]) -> None:
            self._let_it_be_of_this_scenario(case)
            self._let_it_wait_for_nothing(case)
            if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
                self._let_it_be_meant(case)

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            there = case.operation.label in asked_of_query
            return {
                "base_url": shop.query_url if there else shop.command_url,
                "session": session,
                "headers": self._caller(case.operation.label),
                "timeout": ANSWER_TIMEOUT_SECONDS,
                "allow_redirects": False,
            }

        def validate_response(self, response: Response, case: Case[Any], *_: Any, **kwargs: Any) -> None:
            label = case.operation.label
            told.answers[label, response.status_code] += 1
            self.log.append((label, response.status_code))
            self.positions |= set(response.headers.get("counterfoil-position", ()))
            self.is_guest &= (label, response.status_code) != ("POST /v1/cart/merge", 200)
            ensure_answered(case, response)
            case.validate_response(
                response,
                excluded_checks=NOT_CHECKED,
                headers=kwargs["headers"],
                transport_kwargs=kwargs,
                recorder=self.recorder,
            )

        def _caller(self, label: str) -> dict[str, str]:
            """Mostly who may."""
            if self.chance.random() > MEANT_SHARE:
                return self.chance.choice([{}, self.customer, self.operator, self.auditor])
            if "/audit/" in label:
                return self.auditor
            if label.startswith(("POST", "PATCH")) and any(part in label for part in OPERATORS):
                return self.operator
            if self.keeps_what_it_has and label in SPOILING:
                return self.auditor  # whose cart and orders are others
            if label.endswith(("/cancel", "/returns")) and self.chance.random() < FOR_A_CUSTOMER_SHARE:
                return self.operator
            return {} if self.is_guest and "merge" not in label else self.customer

        def _let_it_be_of_this_scenario(self, case: Case[Any]) -> None:
            match case.operation.label, case.body:
                case "POST /v1/products", dict() as body if isinstance(sku := body.get("sku"), str):
                    body["sku"] = f"{self.name}-{sku}"[:SKU_LIMIT_CHARACTERS]

        def _let_it_be_meant(self, case: Case[Any]) -> None:
            """What no schema says: which payment tokens there are, and that a key is new."""
            if not isinstance(case.body, dict) or self.chance.random() > MEANT_SHARE:
                return
            case.body = body = tidied(case.body)
            match case.operation.label:
                case "POST /v1/products":
                    body["sku"] = f"{self.name}-{self.chance.randint(1, PRODUCTS_COUNT)}"
                case "POST /v1/cart/items":
                    body["quantity"] = self.chance.randint(1, 3)
                    if not str(body.get("product_id")).startswith(self.name):
                        body["product_id"] = self.chance.choice(SKUS)
                case "PUT /v1/cart/items/{product_id}":
                    body["quantity"] = self.chance.randint(int(self.keeps_what_it_has), 3)
                case "POST /v1/orders/{order_id}/returns" if isinstance(body.get("items"), list):
                    del body["items"][1:]  # the first is of the order, the others are made up
                case "POST /v1/checkout":
                    (token,) = self.chance.choices(list(PAYMENT_TOKENS), list(PAYMENT_TOKENS.values()))
                    case.body = {"shipping_address": {**ADDRESS}, "payment_token": token}
                    case.headers["Idempotency-Key"] = f"{self.name}-{self.chance.randint(1, KEYS_COUNT)}"

        def _let_it_wait_for_nothing(self, case: Case[Any]) -> None:
            """Conditions that are made up hold for nothing; those that were answered with are kept."""
            if self.chance.random() < MEANT_SHARE:
                case.headers.pop("If-Match", None)
            case.headers.pop("Min-Version", None)
            if case.headers.get("Min-Position") not in self.positions and self.chance.random() > WAITING_SHARE:
                case.headers.pop("Min-Position", None)

    for name in Scenario.root_rules:  # it would begin with orders that are not there
        setattr(Scenario, name, None)
    Scenario._root_labels = frozenset(BEGINNINGS)
    for label in BEGINNINGS:
        name = f"begin_with_{label.split('/')[-1]}"
        start = transition(
            name=name,
            target=Bundle("catch_all"),
            input=operations[label].as_strategy().map(StepInput.initial),
            precondition=is_root_allowed(label),
        )
        setattr(Scenario, name, start)
    return Scenario
