from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.running_shop import RunningShop, a_shop


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """A shop that runs, with nothing in it."""
    with a_shop(tmp_path_factory.mktemp("shop"), COUNTERFOIL_ORDER_EVENTS_SECONDS="0.5") as shop:
        shop.start("--empty")
        yield shop
