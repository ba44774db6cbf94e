from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.running_shop import RunningShop, a_shop
from tests.fuzzing.asking import a_stocked_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop that runs; whatever is made up may be asked of it."""
    with a_shop(tmp_path_factory.mktemp("fuzzed"), COUNTERFOIL_ORDER_EVENTS_SECONDS="0.01") as shop:
        shop.start("--empty")
        yield shop


@pytest.fixture(scope="session", autouse=True)
def known(shop: RunningShop) -> dict[str, list[str]]:
    """What is in the shop: by the names of parameters, what they may be."""
    return a_stocked_shop(shop)
