"""Whom a letter goes to."""

from __future__ import annotations

import pytest

from streams.notifications.directory import TemplateDirectory


@pytest.mark.parametrize(
    ("template", "owner", "address"),
    [
        ("{customer_id}@shop.example", "customer:ada", "ada@shop.example"),
        ("{customer_id}", "customer:ada@home.example", "ada@home.example"),
        ("{customer_id}", "customer:ada", None),
        ("{customer_id}@shop.example", "guest:ada", None),
        ("{customer_id}@shop.example", "customer:", None),
        ("{customer_id}@shop.example", "customer:a b", None),
        ("{customer_id}@shop.example", "customer:ada,eve@evil.example", None),
        ("{customer_id}@shop.example", "customer:ada\r\nBcc: eve@evil.example", None),
        ("{customer_id}@shop.example", "customer:" + "a" * 300, None),
        ("{customer_id}@shop.example", "customer:adä", None),
    ],
)
async def test_an_address_is_a_plain_one_or_none(template: str, owner: str, address: str | None) -> None:
    assert await TemplateDirectory(template).address_of(owner) == address


@pytest.mark.parametrize("template", ["", "orders@shop.example", "{customer_id} at shop", "{customer}@shop.example"])
def test_a_template_that_makes_no_address_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="makes no address"):
        TemplateDirectory(template)
