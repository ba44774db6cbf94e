"""The event store does not answer: a 503, which says whether what was asked for may have been done."""

from __future__ import annotations

from typing import Any

import pytest

from commandside.event_store import OutcomeUnknown, StoreUnavailable
from tests.unit.command_api.shop import CommandShop

UNKNOWN = "Whether this was done is not known"


@pytest.mark.parametrize(("error", "is_unknown"), [(StoreUnavailable, False), (OutcomeUnknown, True)])
async def test_a_503_says_whether_it_may_have_been_done(
    shop: CommandShop, monkeypatch: pytest.MonkeyPatch, error: type[StoreUnavailable], is_unknown: bool
) -> None:
    async def silent(*_: Any) -> None:
        raise error("nobody is there")

    monkeypatch.setattr(shop.store, "append", silent)
    answer = await shop.operator.post("/v1/inventory/LAMP/receive", json={"warehouse_id": "main", "quantity": 5})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["type"] == "/problems/store-unavailable"
    assert (UNKNOWN in answer.json()["detail"]) == is_unknown
