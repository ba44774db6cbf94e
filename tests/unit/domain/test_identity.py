"""Derived ids: the same thing has the same id for ever, and two things never share one."""

from __future__ import annotations

from uuid import UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.identity import (
    allowance_stream,
    cart_stream,
    checkout_stream,
    product_stream,
    receipt_stream,
    stock_locations_stream,
    stock_stream,
)

colons_and_letters = st.text(alphabet="ab:", min_size=1, max_size=5)
# As the commands let them in: no "@".
skus = st.text(alphabet="aB1._~-", min_size=1, max_size=5)


def test_ids_are_what_they_always_were() -> None:
    """What is stored is found by these: whoever changes one loses streams."""
    assert [str(stream_id) for stream_id in (
        product_stream("lamp"),
        stock_stream("lamp", "north"),
        stock_locations_stream("lamp"),
        cart_stream("customer:ada"),
        checkout_stream(UUID(int=1)),
        receipt_stream("customer:ada", "key-1"),
        allowance_stream("customer:ada", "lamp"),
    )] == [
        "dc85a77a-ef98-5c34-8e89-bf45552b50f1",
        "51adfaee-3e7f-553d-8a1f-1c4a51d03c4b",
        "a5188c0b-91bf-5c3e-af4f-12a8a403128a",
        "e7d23aba-3185-5752-95da-c9c0baa29679",
        "26c162cc-078f-5319-aedb-1fbef4bc601b",
        "d9fd02f4-70ea-5e19-adf3-df4829882d14",
        "835aaf8f-d2cc-5af8-b207-f8b27b72ba29",
    ]  # fmt: skip


@given(colons_and_letters, colons_and_letters, colons_and_letters, colons_and_letters)
def test_no_owners_key_meets_anothers(owner: str, key: str, other: str, others_key: str) -> None:
    assume((owner, key) != (other, others_key))
    assert receipt_stream(owner, key) != receipt_stream(other, others_key)


@given(colons_and_letters, skus, colons_and_letters, skus)
def test_no_owners_allowance_meets_anothers(owner: str, sku: str, other: str, others_sku: str) -> None:
    assume((owner, sku) != (other, others_sku))
    assert allowance_stream(owner, sku) != allowance_stream(other, others_sku)


def test_a_key_made_to_meet_anothers_does_not() -> None:
    assert receipt_stream("customer:a", "b:key") != receipt_stream("customer:a:b", "key")


@given(skus, skus, skus, skus)
def test_no_stock_meets_another(sku: str, warehouse: str, other: str, others_warehouse: str) -> None:
    assume((sku, warehouse) != (other, others_warehouse))
    assert stock_stream(sku, warehouse) != stock_stream(other, others_warehouse)


@given(st.text(max_size=8))
def test_kinds_do_not_meet(name: str) -> None:
    ids = {product_stream(name), stock_locations_stream(name), cart_stream(name), stock_stream(name, "north")}
    assert len(ids) == 4
