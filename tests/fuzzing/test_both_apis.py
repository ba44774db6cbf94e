"""Whatever is asked of an API, it answers what its page says that it answers, and never with a fault of ours."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.e2e.running_shop import a_shop
from tests.fuzzing.asking import Asking, a_stocked_shop, operations
from tests.profiles import profile

EXAMPLES_COUNT = {"short": 15, "long": 2_000}[profile()]
TIMEOUT_SECONDS = {"short": 120, "long": 1_500}[profile()]


@pytest.fixture(scope="module", params=["command", "query"])
def asking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with a_shop(tmp_path_factory.mktemp("fuzzed")) as shop:
        shop.start("--empty")
        known = a_stocked_shop(shop)
        url = shop.command_url if request.param == "command" else shop.query_url
        yield Asking(shop, url, random.Random(0), known)  # noqa: S311 -- a choice of callers, no secret


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_every_answer_is_one_that_the_page_has(asking: Asking) -> None:
    faults: list[str] = []
    found = operations(asking.url)
    assert len(found) >= 9
    for name, operation in found.items():
        try:
            _ask_often(asking, operation)
        except (Exception, ExceptionGroup) as error:  # one after the other: the report has them all
            faults.append(f"{name}: {error}")
    assert not faults, "\n\n".join(faults)
    assert sum(asking.answers.values()) >= EXAMPLES_COUNT * len(found) // 2, asking.answers
    assert {200, 404, 422} <= set(asking.answers), f"it hardly met anything: {asking.answers}"


def _ask_often(asking: Asking, operation: Any) -> None:
    @settings(
        max_examples=EXAMPLES_COUNT,
        deadline=None,
        database=None,
        derandomize=profile() == "short",
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        asking.ask(case)

    ask()
