"""A scripted client: everything that a shopper, an operator and an auditor do, by the contract alone."""

from __future__ import annotations

from typing import Any

from tests.e2e.client import Client, given_product
from tests.e2e.running_shop import RunningShop
from tests.waiting import eventually

LATER = ("also-bought", "trending", "recommendations")  # absent from the page until they are there


async def test_from_the_first_product_to_the_audit(running: RunningShop) -> None:
    async with Client(running, "olga", "operator") as operator, Client(running) as shopper:
        # Given a product with stock
        await given_product(operator, "LAMP", price=1999, stock=5, brand="Selene", attributes={"watts": 5})
        await given_product(operator, "VASE", price=500, stock=2)
        shopper.position = operator.position
        page = await shopper.query("/v1/products/LAMP")
        assert page.status_code == 200
        assert page.json()["price"] == {"amount": 1999, "currency": "GBP"}
        assert page.json()["availability"] == {"status": "low_stock", "quantity": 5}
        unchanged = await shopper._http.get(
            f"{running.query_url}/v1/products/LAMP", headers={"If-None-Match": page.headers["ETag"]}
        )
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        found = await shopper.query("/v1/search", q="lamp")
        assert [product["product_id"] for product in found.json()["products"]] == ["LAMP"]
        assert found.json()["engine"] == "postgres"

        # When a guest fills a cart, signs in and merges
        assert (await shopper.add("LAMP", 2)).status_code == 200
        assert (await shopper.query("/v1/cart")).json()["subtotal"]["amount"] == 3998
        shopper.sign_in("ada")
        assert (await shopper.query("/v1/cart")).json()["items"] == []
        assert (await shopper.add("VASE", 1)).status_code == 200
        merged = await shopper.command("POST", "/v1/cart/merge")
        assert {i["product_id"]: i["quantity"] for i in merged.json()["items"]} == {"VASE": 1, "LAMP": 2}
        assert (await shopper.query("/v1/cart")).json() == merged.json()

        # Then checkout tells declined, placed, repeated, reused and out of stock apart
        declined = await shopper.check_out("k-declined", "tok_declined")
        assert (declined.status_code, declined.json()["type"]) == (402, "/problems/payment-declined")
        placed = await shopper.check_out("k-ok", expected_total={"amount": 4498, "currency": "GBP"})
        assert (placed.status_code, placed.json()["status"]) == (201, "placed")
        order_id = placed.json()["order_id"]
        again = await shopper.check_out("k-ok", expected_total={"amount": 4498, "currency": "GBP"})
        assert (again.status_code, again.json()) == (201, placed.json())
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (await shopper.check_out("k-ok", "tok_declined")).status_code == 422
        too_many = await shopper.add("LAMP", 4)
        assert (too_many.status_code, too_many.json()["available"]) == (409, 3)

        # And the read side agrees with what the commands answered; the money is taken beside the answer
        held = placed.json()
        taken = {"version": held["version"] + 1, "payment": {**held["payment"], "status": "captured"}}

        async def seen() -> dict[str, Any]:
            order: dict[str, Any] = (await shopper.query(f"/v1/orders/{order_id}")).json()
            return order

        assert await eventually(seen, lambda order: order["payment"]["status"] != "authorised") == held | taken
        orders = (await shopper.query("/v1/orders")).json()["orders"]
        assert orders[0]["order_id"] == order_id
        assert (await shopper.query("/v1/cart")).json()["items"] == []
        assert (await shopper.query("/v1/inventory/LAMP")).json()["available"] == 3

        # And a cancellation gives stock and money back
        cancelled = await shopper.command("POST", f"/v1/orders/{order_id}/cancel", {"reason": "changed my mind"})
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        assert cancelled.json()["payment"]["status"] == "refunded"
        assert (await shopper.query(f"/v1/orders/{order_id}")).json() == cancelled.json()
        assert (await shopper.query("/v1/products/LAMP")).json()["availability"]["quantity"] == 5

        # And the audit says why each figure is what it is, at a version and at a time
        audit = (await operator.command("GET", "/v1/audit/stock/LAMP@main")).json()
        assert audit["state"]["available"] == 5
        topics = [event["topic"] for event in audit["events"]]
        assert topics[:2] == ["stock.opened.v1", "stock.received.v1"]
        assert topics[-3:] == ["stock.reserved.v1", "stock.committed.v1", "stock.restocked.v1"]
        sold = next(event for event in audit["events"] if event["topic"] == "stock.committed.v1")
        by_version = await operator.command("GET", f"/v1/audit/stock/LAMP@main?version={sold['version']}")
        by_time = await operator.command("GET", f"/v1/audit/stock/LAMP@main?at={sold['recorded_at']}")
        assert by_version.json() == by_time.json()
        assert by_version.json()["state"]["on_hand"] == 3
        assert (await shopper.command("GET", "/v1/audit/stock/LAMP@main")).status_code == 403


async def test_an_order_through_all_its_shipments_and_back(running: RunningShop) -> None:
    async with Client(running, "olga", "operator") as operator, Client(running, "bea") as shopper:
        await given_product(operator, "DESK", price=10_000, stock=1)
        await operator.command("POST", "/v1/inventory/DESK/receive", {"warehouse_id": "north", "quantity": 1})
        await shopper.add("DESK", 2)
        order = (await shopper.check_out("k-desk")).json()
        assert len(order["shipments"]) == 2
        told = order
        for step in ("pack", "ship", "deliver"):
            for shipment in order["shipments"]:
                body = {"carrier": "Owl Post", "tracking_number": "OP-7"} if step == "ship" else None
                path = f"/v1/orders/{order['order_id']}/shipments/{shipment['shipment_id']}/{step}"
                moved = await operator.command("POST", path, body)
                assert moved.status_code == 200, moved.text
                told = moved.json()
        shopper.position = operator.position
        seen = (await shopper.query(f"/v1/orders/{order['order_id']}")).json()
        assert seen == told
        assert (seen["status"], seen["shipments"][1]["tracking_number"]) == ("delivered", "OP-7")
        wanted = {"items": [{"product_id": "DESK", "quantity": 2}], "reason": "too heavy"}
        asked = await shopper.command("POST", f"/v1/orders/{order['order_id']}/returns", wanted)
        path = f"/v1/orders/{order['order_id']}/returns/{asked.json()['return_id']}/receive"
        received = await operator.command("POST", path)
        assert (received.json()["status"], received.json()["payment"]["status"]) == ("refunded", "refunded")
        shopper.position = operator.position
        assert (await shopper.query(f"/v1/orders/{order['order_id']}")).json() == received.json()
        assert (await shopper.query("/v1/inventory/DESK")).json()["available"] == 2


async def test_a_payment_that_is_told_later(running: RunningShop) -> None:
    async with Client(running, "olga", "operator") as operator, Client(running, "cem") as shopper:
        await given_product(operator, "RUG", stock=1)
        await shopper.add("RUG")
        pending = await shopper.check_out("k-rug", "tok_webhook")
        assert (pending.status_code, pending.json()["status"]) == (202, "pending_payment")
        path = pending.headers["Location"]

        async def status() -> str:
            told: str = (await shopper.query(path)).json()["status"]
            return told

        assert await eventually(status, lambda told: told == "placed") == "placed"


async def test_money_held_or_taken_without_an_answer_is_one_order_and_taken_once(running: RunningShop) -> None:
    async with Client(running, "olga", "operator") as operator, Client(running, "dan") as shopper:
        await given_product(operator, "CUP", stock=3)
        for token in ("tok_timeout", "tok_capture_timeout", "tok_capture_error_then_ok"):
            await shopper.add("CUP")
            before = (await running.books_when_captured())["charges"]["count"]
            placed = await shopper.check_out(f"k-cup-{token}", token)
            assert (placed.status_code, placed.json()["status"]) == (201, "placed")
            assert (await running.books_when_captured())["charges"]["count"] == before + 1


async def test_what_is_not_ones_own_is_not_there(running: RunningShop) -> None:
    async with (
        Client(running, "olga", "operator") as operator,
        Client(running, "eve") as owner,
        Client(running, "mal") as other,
        Client(running) as guest,
    ):
        await given_product(operator, "PEN", stock=1)
        await owner.add("PEN")
        order_id = (await owner.check_out("k-pen")).json()["order_id"]
        operator.position = other.position = guest.position = owner.position
        assert (await owner.query(f"/v1/orders/{order_id}")).status_code == 200
        assert (await operator.query(f"/v1/orders/{order_id}")).status_code == 200
        for stranger in (other, guest):
            assert (await stranger.query(f"/v1/orders/{order_id}")).status_code == 404
            assert (await stranger.command("POST", f"/v1/orders/{order_id}/cancel")).status_code == 404


async def test_both_apis_describe_themselves(running: RunningShop) -> None:
    async with Client(running) as anyone:
        for url in (running.command_url, running.query_url):
            for path, kind in (
                ("/openapi.json", "json"),
                ("/docs", "html"),
                ("/healthz", "json"),
                ("/metrics", "text"),
            ):
                answer = await anyone._http.get(url + path)
                assert (answer.status_code, kind in answer.headers["Content-Type"]) == (200, True), (url, path)
        paths = (await anyone._http.get(f"{running.query_url}/openapi.json")).json()["paths"]
        assert {"/v1/search", "/v1/cart", "/v1/orders", "/v1/products/{product_id}"} <= set(paths)
        assert not [path for path in paths if any(name in path for name in LATER)]
