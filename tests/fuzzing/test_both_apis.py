"""Whatever is asked of an API, it answers what its page says that it answers, and never with a fault of ours."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.e2e.running_shop import RunningShop
from tests.fuzzing.asking import FIRST_SEED, Asking, operations
from tests.fuzzing.counts import CASES_COUNT, REQUESTS_COUNT
from tests.profiles import profile

TIMEOUT_SECONDS = {"short": 240, "long": 1_800}[profile()]


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("api", ["command", "query"])
def test_every_answer_is_one_that_the_page_has(api: str, shop: RunningShop, known: dict[str, list[str]]) -> None:
    url = shop.command_url if api == "command" else shop.query_url
    asking = Asking(shop, url, random.Random(FIRST_SEED), known)  # noqa: S311 -- a choice of ids, no secret
    faults: list[str] = []
    found = operations(url)
    assert len(found) >= 9
    for name, operation in found.items():
        try:
            _ask_often(asking, operation)
        except (Exception, ExceptionGroup) as error:  # one after the other: the report has them all
            faults.append(f"{name}: {error}")
    assert not faults, "\n\n".join(faults)
    assert sum(asking.answers.values()) >= REQUESTS_COUNT[api], asking.answers
    assert {200, 404, 422} <= set(asking.answers), f"it hardly met anything: {asking.answers}"


def _ask_often(asking: Asking, operation: Any) -> None:
    @seed(FIRST_SEED)
    @settings(
        max_examples=CASES_COUNT,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        asking.ask(case)

    ask()
