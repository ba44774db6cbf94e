"""The built-in provider as a process: its books outlive it, its webhooks arrive, and nothing sent to it breaks it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import (
    Cancelled,
    Charged,
    PaymentRefused,
    Pending,
    Processing,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
)
from commandside.payments.settle import settle
from commandside.payments.webhook import verify
from domain.values import TOTAL_LIMIT_MINOR, Money
from tests.contract.payments.provider_process import WEBHOOK_SECRET, ProviderProcess
from tests.contract.payments.webhook_receiver import Received, WebhookReceiver
from tests.waiting import eventually

AMOUNT = Money(1999, "GBP")


async def test_the_books_survive_a_kill(process: ProviderProcess) -> None:
    async with HttpPaymentProvider(process.url, timeout_seconds=2) as provider:
        charged = await provider.charge("a", AMOUNT, "tok_ok", "o")
        declined = await provider.charge("b", AMOUNT, "tok_declined", "o")
        cancelled = await provider.cancel("c")
        refunded = await provider.refund("a", "r", Money(500, "GBP"))
        with pytest.raises(ProviderUnreachable):
            await provider.charge("d", AMOUNT, "tok_error_then_ok", "o")
        before = process.books()

        process.kill()
        with pytest.raises(ProviderUnreachable):
            await provider.find("a")
        assert await provider.is_ready() is False
        process.start()

        assert await provider.is_ready() is True
        assert process.books() == before
        assert before["charges"] == {"count": 1, "amounts": {"GBP": 1999}}
        assert before["refunds"] == {"count": 1, "amounts": {"GBP": 500}}
        assert await provider.charge("a", AMOUNT, "tok_ok", "o") == charged
        assert await provider.charge("b", AMOUNT, "tok_declined", "o") == declined
        assert await provider.charge("c", AMOUNT, "tok_ok", "o") == cancelled
        assert await provider.refund("a", "r", Money(500, "GBP")) == refunded
        assert isinstance(await provider.charge("d", AMOUNT, "tok_error_then_ok", "o"), Charged)


async def test_what_was_under_way_at_a_kill_is_finished_after_it(
    process: ProviderProcess, receiver: WebhookReceiver
) -> None:
    async with HttpPaymentProvider(process.url, timeout_seconds=0.2) as impatient:
        with pytest.raises(ProviderTimeout):
            await impatient.charge("slow", AMOUNT, "tok_slow_1500", "o")
        assert isinstance(await impatient.find("slow"), Processing)
    async with HttpPaymentProvider(process.url) as provider:
        pending = await provider.charge("hook", AMOUNT, "tok_webhook", "order-7")
        assert isinstance(pending, Pending)

        process.kill()
        receiver.listen()
        process.start()

        await eventually(lambda: provider.find("slow"), lambda found: isinstance(found, Charged))
        await eventually(lambda: provider.find("hook"), lambda found: found == Charged(pending.reference))
        received = await _received(receiver, 1)
        assert _event(received[0])["order_id"] == "order-7"
        assert process.books()["charges"]["count"] == 2


async def test_kills_in_the_middle_of_charges_charge_everything_once(process: ProviderProcess) -> None:
    keys = [f"order-{number}" for number in range(60)]
    tokens = ["tok_ok", "tok_slow_50", "tok_timeout", "tok_error_then_ok"]
    done = threading.Event()

    def kill_often() -> None:
        while not done.is_set():
            began = time.monotonic()
            process.kill()
            process.start()
            # On a machine on which it starts slowly it answers slowly too: it has as long for that.
            done.wait(max(0.3, time.monotonic() - began))

    async with HttpPaymentProvider(process.url, timeout_seconds=0.5) as provider:
        places = asyncio.Semaphore(8)

        async def buy(number: int) -> object:
            async with places:
                token = tokens[number % len(tokens)]
                return await settle(provider, keys[number], AMOUNT, token, keys[number], time.monotonic() + 150)

        # What was just charged is asked for again by the next in line: a key is used from several sides at once.
        killing = asyncio.get_running_loop().run_in_executor(None, kill_often)
        try:
            outcomes = await asyncio.gather(*(buy(number) for number in range(len(keys)) for _ in range(2)))
        finally:
            done.set()
            await killing

    assert all(isinstance(outcome, Charged) for outcome in outcomes), outcomes
    assert len(set(outcomes)) == len(keys)
    assert process.books()["charges"] == {"count": len(keys), "amounts": {"GBP": len(keys) * AMOUNT.amount}}


async def test_a_webhook_is_signed_and_delivered(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    receiver.listen()
    async with HttpPaymentProvider(process.url) as provider:
        pending = await provider.charge("key-1", AMOUNT, "tok_webhook", "order-1")
        assert isinstance(pending, Pending)

        (received,) = await _received(receiver, 1)

    assert received.path == "/v1/webhooks/payments"
    # The signature is computed here from its description, not by the code that makes it.
    signed_at, _, signature = received.signature.removeprefix("t=").partition(",v1=")
    signed = signed_at.encode() + b"." + received.body
    assert hmac.new(WEBHOOK_SECRET.encode(), signed, hashlib.sha256).hexdigest() == signature
    event = _event(received)
    assert abs(datetime.fromisoformat(event.pop("created_at")) - datetime.now(UTC)).total_seconds() < 30
    assert event.pop("event_id")
    assert event == {
        "type": "payment.charged",
        "key": "key-1",
        "order_id": "order-1",
        "reference": pending.reference,
        "amount": {"amount": 1999, "currency": "GBP"},
    }
    assert verify(received.body, received.signature, WEBHOOK_SECRET, datetime.now(UTC)).amount == AMOUNT
    await _books_say(process, "webhooks", {"waiting": 0, "delivered": 1, "abandoned": 0})


async def test_a_declined_and_a_cancelled_payment_are_told_too(
    process: ProviderProcess, receiver: WebhookReceiver
) -> None:
    receiver.listen()
    async with HttpPaymentProvider(process.url) as provider:
        await provider.charge("d", AMOUNT, "tok_webhook_declined", "o")
        await provider.charge("c", AMOUNT, "tok_webhook", "o")
        assert isinstance(await provider.cancel("c"), Cancelled)

        events = {event["key"]: event for event in map(_event, await _received(receiver, 2))}

    assert (events["d"]["type"], events["d"]["reason"]) == ("payment.declined", "card_declined")
    assert events["c"]["type"] == "payment.cancelled"
    assert "reason" not in events["c"]
    assert process.books()["charges"]["count"] == 0


async def test_what_was_answered_at_once_is_not_told_again(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    receiver.listen()
    async with HttpPaymentProvider(process.url) as provider:
        await provider.charge("a", AMOUNT, "tok_ok", "o")
        await provider.charge("b", AMOUNT, "tok_slow_10", "o")
        await provider.cancel("never-seen")
        await provider.charge("last", AMOUNT, "tok_webhook", "o")

        received = await _received(receiver, 1)

    assert [_event(one)["key"] for one in received] == ["last"]


async def test_a_webhook_is_repeated_until_it_is_taken(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    receiver.statuses = [500, 400, 302]
    async with HttpPaymentProvider(process.url) as provider:
        await provider.charge("k", AMOUNT, "tok_webhook", "o")
        await eventually(lambda: provider.find("k"), lambda found: isinstance(found, Charged))
        # Nobody listens yet: attempts fail, and a restart does not forget the event.
        assert process.books()["webhooks"]["waiting"] == 1
        process.kill()
        process.start()
        receiver.listen()

        received = await _received(receiver, 4)

    assert len({one.body for one in received}) == 1
    await _books_say(process, "webhooks", {"waiting": 0, "delivered": 1, "abandoned": 0})
    assert len(receiver.received) == 4


async def test_the_payments_are_listed_page_by_page(process: ProviderProcess) -> None:
    async with HttpPaymentProvider(process.url) as provider:
        for number in range(5):
            await provider.charge(f"k{number}", Money(number, "GBP"), "tok_ok", f"o{number}")
        await provider.cancel("gone")
        await provider.refund("k4", "r", Money(3, "GBP"))

    listed: list[dict[str, Any]] = []
    after: int | None = 0
    pages_count = 0
    while after is not None:
        page = process.get(f"/v1/payments?limit=2&after={after}").json()
        listed += page["payments"]
        after = page["next_after"]
        pages_count += 1

    assert pages_count == 3
    assert [payment["key"] for payment in listed] == ["k0", "k1", "k2", "k3", "k4", "gone"]
    assert [payment["status"] for payment in listed] == ["charged"] * 5 + ["cancelled"]
    assert listed[4]["refunded_amount"] == 3
    assert (listed[5]["order_id"], listed[5]["amount"]) == (None, None)


GOOD = {"order_id": "o", "amount": {"amount": 1, "currency": "GBP"}, "token": "tok_ok"}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, json.dumps(GOOD), 400),
        ({"Idempotency-Key": ""}, json.dumps(GOOD), 422),
        ({"Idempotency-Key": "a b"}, json.dumps(GOOD), 422),
        ({"Idempotency-Key": "k" * 201}, json.dumps(GOOD), 422),
        ({"Idempotency-Key": "k"}, "", 400),
        ({"Idempotency-Key": "k"}, "{", 400),
        ({"Idempotency-Key": "k"}, b"\xff\xfe", 400),
        ({"Idempotency-Key": "k"}, b'{"token": "\xff"}', 400),
        ({"Idempotency-Key": "k"}, "[]", 422),
        ({"Idempotency-Key": "k"}, "[" * 10_000, 422),
        ({"Idempotency-Key": "k"}, json.dumps(GOOD)[:-1] + ', "x": ' + "[" * 10_000, 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "extra": 1}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "token": 7}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": -1, "currency": "GBP"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": 10**30, "currency": "GBP"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": 1.5, "currency": "GBP"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": 1, "currency": "pounds"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "token": "x" * 100_000}), 413),
    ],
)
def test_a_bad_charge_is_refused_and_writes_nothing(
    shared_process: ProviderProcess, headers: dict[str, str], body: str | bytes, status: int
) -> None:
    before = shared_process.books()

    answer = httpx.post(f"{shared_process.url}/v1/payments", headers=headers, content=body, trust_env=False)

    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert shared_process.books() == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/payments/nobody", 404),
        ("/v1/payments/a%20b", 422),
        ("/v1/payments?limit=0", 422),
        ("/v1/payments?limit=1001", 422),
        ("/v1/payments?limit=ten", 422),
        ("/v1/payments?after=-1", 422),
        ("/v1/payments?after=99999999999999999999", 422),
        ("/v1/payments?limit=1000&after=0", 200),
        ("/healthz", 200),
        ("/readyz", 200),
    ],
)
def test_reading(shared_process: ProviderProcess, path: str, status: int) -> None:
    assert shared_process.get(path).status_code == status


async def test_what_the_adapter_may_not_send_is_told_apart_from_an_outage(shared_process: ProviderProcess) -> None:
    async with HttpPaymentProvider(shared_process.url) as provider:
        with pytest.raises(PaymentRefused, match="422"):
            await provider.charge("not a key", AMOUNT, "tok_ok", "o")
        with pytest.raises(PaymentRefused, match="422"):
            await provider.charge("k-negative", Money(-1, "GBP"), "tok_ok", "o")
        with pytest.raises(PaymentRefused, match="422"):
            await provider.charge("k-dear", Money(TOTAL_LIMIT_MINOR + 1, "GBP"), "tok_ok", "o")
        assert isinstance(await provider.charge("k-just", Money(TOTAL_LIMIT_MINOR, "GBP"), "tok_ok", "o"), Charged)
        assert await provider.find("k-negative") is None


async def test_slow_payments_hold_up_no_others_while_connections_are_free(shared_process: ProviderProcess) -> None:
    async with HttpPaymentProvider(shared_process.url, pool_size_connections=2, timeout_seconds=5) as provider:
        slow = asyncio.create_task(provider.charge("held-up-slow", AMOUNT, "tok_slow_3000", "o"))
        await eventually(
            lambda: asyncio.to_thread(shared_process.get, "/v1/payments/held-up-slow"),
            lambda answer: answer.status_code == HTTPStatus.ACCEPTED,
        )
        async with asyncio.timeout(2.5):
            for number in range(5):
                assert isinstance(await provider.charge(f"held-up-{number}", AMOUNT, "tok_ok", "o"), Charged)
        assert not slow.done()
        assert isinstance(await provider.cancel("held-up-slow"), Cancelled)
        assert isinstance(await slow, Cancelled)


async def test_more_payments_at_once_than_connections_wait_their_turn(shared_process: ProviderProcess) -> None:
    async with HttpPaymentProvider(shared_process.url, pool_size_connections=4) as provider:
        outcomes = await asyncio.gather(
            *(provider.charge(f"turn-{number}", AMOUNT, "tok_ok", "o") for number in range(100))
        )

    assert all(isinstance(outcome, Charged) for outcome in outcomes)
    assert len(set(outcomes)) == 100


async def test_sigterm_ends_it_cleanly_and_soon_whatever_is_under_way(process: ProviderProcess) -> None:
    async with HttpPaymentProvider(process.url, timeout_seconds=0.2) as impatient:
        for token in ("tok_timeout", "tok_slow_1200"):
            with pytest.raises(ProviderTimeout):
                await impatient.charge(token, AMOUNT, token, "o")
    held = asyncio.create_task(asyncio.to_thread(_charge_over_a_connection_that_stays, process.url))
    async with HttpPaymentProvider(process.url) as provider:
        await eventually(lambda: provider.find("held"), lambda found: isinstance(found, Charged))

        began = time.monotonic()
        status = await asyncio.to_thread(process.stop)

        assert status == 0, process.log.read_text()
        assert time.monotonic() - began < 5
        await held
        process.start()
        await eventually(lambda: provider.find("tok_slow_1200"), lambda found: isinstance(found, Charged))
        assert isinstance(await provider.refund("held", "r", AMOUNT), Refunded)


def test_damaged_books_are_said_to_be_damaged(process: ProviderProcess) -> None:
    process.stop()
    (process.var / "provider.sqlite").write_bytes(b"this was a book once" * 500)

    assert process.launch().wait(20) == 1
    assert "books are damaged" in process.log.read_text()


def test_a_taken_port_ends_the_process(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    process.stop()
    process.port = receiver.port
    receiver.listen()

    assert process.launch().wait(20) == 1


def _charge_over_a_connection_that_stays(url: str) -> None:
    body = json.dumps({**GOOD, "amount": {"amount": 1999, "currency": "GBP"}, "token": "tok_timeout"})
    try:
        httpx.post(f"{url}/v1/payments", headers={"Idempotency-Key": "held"}, content=body, timeout=30, trust_env=False)
    except httpx.TransportError:
        return  # the provider went away without an answer, as it should


async def _received(receiver: WebhookReceiver, count: int) -> list[Received]:
    async def received() -> list[Received]:
        return list(receiver.received)

    return await eventually(received, lambda all_of_them: len(all_of_them) >= count)


async def _books_say(process: ProviderProcess, part: str, expected: object) -> None:
    await eventually(lambda: asyncio.to_thread(process.books), lambda books: books[part] == expected)


def _event(received: Received) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(received.body)
    return event
