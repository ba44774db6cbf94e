"""The built-in provider as a process: its books outlive it, and its webhooks arrive."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from typing import Any

import httpx
import pytest

from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    Payment,
    PaymentOutcome,
    Pending,
    Processing,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
)
from commandside.payments.settle import settle
from commandside.payments.webhook import verify
from domain.values import Money
from tests.contract.payments.provider_process import WEBHOOK_SECRET, ProviderProcess
from tests.contract.payments.suite import while_pending
from tests.contract.payments.webhook_receiver import Received, WebhookReceiver
from tests.payments import AMOUNT, a_payment
from tests.waiting import eventually

PART = Money(1200, "GBP")
GOOD = {"order_id": "o", "amount": {"amount": 1, "currency": "GBP"}, "token": "tok_ok"}
TOKENS_THAT_ARE_GOOD = [
    "tok_ok",
    "tok_slow_50",
    "tok_timeout",
    "tok_error_then_ok",
    "tok_capture_timeout",
    "tok_capture_error_then_ok",
]


async def test_the_books_survive_a_kill(process: ProviderProcess) -> None:
    a, b, c, d, e = (a_payment(key) for key in "abcde")
    declined, fails_first = replace(b, token="tok_declined"), replace(d, token="tok_error_then_ok")
    capture_fails_first = replace(e, token="tok_capture_error_then_ok")
    async with HttpPaymentProvider(process.url, timeout_seconds=2) as provider:
        await provider.authorise(a)
        captured = await provider.capture(a, PART)
        told = [await provider.authorise(declined), await provider.cancel(c)]
        refunded = await provider.refund(a, "r", Money(500, "GBP"))
        with pytest.raises(ProviderUnreachable):
            await provider.authorise(fails_first)
        held = await provider.authorise(capture_fails_first)
        assert process.post("/v1/payments/e/capture", {"amount": GOOD["amount"]}).status_code == 500
        before = process.books()

        process.kill()
        with pytest.raises(ProviderUnreachable):
            await provider.find(a)
        assert await provider.is_ready() is False
        process.start()

        assert await provider.is_ready() is True
        assert process.books() == before
        assert before["authorised"] == {"count": 1, "amounts": {"GBP": 1999}}
        assert before["charges"] == {"count": 1, "amounts": {"GBP": 1200}}
        assert before["refunds"] == {"count": 1, "amounts": {"GBP": 500}}
        assert await provider.authorise(a) == captured
        assert await provider.capture(a, AMOUNT) == captured
        assert [await provider.authorise(declined), await provider.authorise(c)] == told
        assert await provider.refund(a, "r", Money(500, "GBP")) == refunded
        assert isinstance(await provider.authorise(fails_first), Authorised)
        assert await provider.find(e) == held
        assert process.post("/v1/payments/e/capture", {"amount": GOOD["amount"]}).status_code == 200


async def test_what_was_under_way_at_a_kill_is_finished_after_it(
    process: ProviderProcess, receiver: WebhookReceiver
) -> None:
    async with HttpPaymentProvider(process.url, timeout_seconds=1.0) as impatient:
        with pytest.raises(ProviderTimeout):
            await impatient.authorise(a_payment("slow", "tok_slow_5000"))
    async with HttpPaymentProvider(process.url) as provider:
        assert isinstance(await provider.find(a_payment("slow")), Processing)
        pending = await provider.authorise(a_payment("hook", "tok_webhook", order_id="order-7"))
        assert isinstance(pending, Pending)

        process.kill()
        receiver.listen()
        process.start()

        await eventually(lambda: provider.find(a_payment("slow")), lambda found: isinstance(found, Authorised))
        await eventually(lambda: provider.find(a_payment("hook")), lambda found: found == Authorised(pending.reference))
        received = await _received(receiver, 1)
        assert _event(received[0])["order_id"] == "order-7"
        assert process.books()["authorised"]["count"] == 2


async def test_kills_in_the_middle_of_payments_take_everything_once(process: ProviderProcess) -> None:
    payments = [a_payment(f"order-{n}", token) for n, token in enumerate(TOKENS_THAT_ARE_GOOD * 10)]
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

        async def pay(payment: Payment, amount: Money) -> object:
            async with places, asyncio.timeout(150):
                await settle(provider, payment, time.monotonic() + 100)
                while True:
                    try:
                        return await provider.capture(payment, amount)
                    except ProviderError:
                        await asyncio.sleep(0.05)

        # What was just taken is asked for again by the next in line: a key is used from several sides at once.
        killing = asyncio.get_running_loop().run_in_executor(None, kill_often)
        try:
            outcomes = await asyncio.gather(
                *(pay(payment, amount) for payment in payments for amount in (PART, AMOUNT))
            )
        finally:
            done.set()
            await killing

    assert outcomes[::2] == outcomes[1::2]
    captured = [outcome for outcome in outcomes[::2] if isinstance(outcome, Captured)]
    assert len({outcome.reference for outcome in captured}) == len(payments)
    taken = sum(outcome.amount.amount for outcome in captured)
    assert process.books()["charges"] == {"count": len(payments), "amounts": {"GBP": taken}}
    assert process.books()["authorised"]["count"] == 0


async def test_a_webhook_is_signed_and_delivered(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    receiver.listen()
    async with HttpPaymentProvider(process.url) as provider:
        pending = await provider.authorise(a_payment("key-1", "tok_webhook", order_id="order-1"))
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
        "type": "payment.authorised",
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
        await provider.authorise(a_payment("d", "tok_webhook_declined"))
        keys = (f"c{number}" for number in count())

        async def attempt() -> tuple[str, PaymentOutcome]:
            cancelled = a_payment(next(keys), "tok_webhook")
            await provider.authorise(cancelled)
            return cancelled.key, await provider.cancel(cancelled)

        key, outcome = await while_pending(attempt)
        assert isinstance(outcome, Cancelled)

        async def told() -> dict[str, Any]:
            return {event["key"]: event for event in map(_event, receiver.received)}

        events = await eventually(told, lambda events: {"d", key} <= events.keys())

    assert (events["d"]["type"], events["d"]["reason"]) == ("payment.declined", "card_declined")
    assert events[key]["type"] == "payment.cancelled"
    assert "reason" not in events[key]
    assert process.books()["authorised"]["count"] == 0


async def test_a_capture_that_is_never_answered_is_told(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    receiver.listen()
    payment = a_payment("k", "tok_capture_timeout", order_id="order-1")
    async with HttpPaymentProvider(process.url) as patient:
        await patient.authorise(payment)
    async with HttpPaymentProvider(process.url, timeout_seconds=0.5) as provider:
        with pytest.raises(ProviderTimeout):
            await provider.capture(payment, PART)

        event = _event((await _received(receiver, 1))[0])

    assert (event["type"], event["order_id"]) == ("payment.captured", "order-1")
    assert event["amount"] == {"amount": 1999, "currency": "GBP"}
    assert event["captured"] == {"amount": 1200, "currency": "GBP"}
    await _books_say(process, "webhooks", {"waiting": 0, "delivered": 1, "abandoned": 0})


async def test_what_was_answered_at_once_is_not_told_again(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    receiver.listen()
    async with HttpPaymentProvider(process.url) as provider:
        await provider.authorise(a_payment("a"))
        await provider.authorise(a_payment("b", "tok_slow_10"))
        await provider.cancel(a_payment("never-seen"))
        await provider.capture(a_payment("a"), PART)
        await provider.cancel(a_payment("b"))
        await provider.authorise(a_payment("last", "tok_webhook"))

        received = await _received(receiver, 1)

    assert [_event(one)["key"] for one in received] == ["last"]


async def test_a_webhook_is_repeated_until_it_is_taken(process: ProviderProcess, receiver: WebhookReceiver) -> None:
    receiver.statuses = [500, 400, 302]
    async with HttpPaymentProvider(process.url) as provider:
        await provider.authorise(a_payment("k", "tok_webhook"))
        await eventually(lambda: provider.find(a_payment("k")), lambda found: isinstance(found, Authorised))
        # Nobody listens yet: attempts fail, and a restart does not forget the event.
        assert process.books()["webhooks"]["waiting"] == 1
        process.kill()
        receiver.listen()
        process.start()

        received = await _received(receiver, 4)

    assert len({one.body for one in received}) == 1
    await _books_say(process, "webhooks", {"waiting": 0, "delivered": 1, "abandoned": 0})
    assert len(receiver.received) == 4


async def test_slow_payments_hold_up_no_others_while_connections_are_free(shared_process: ProviderProcess) -> None:
    async with HttpPaymentProvider(shared_process.url, pool_size_connections=2, timeout_seconds=30) as provider:
        slow = asyncio.create_task(provider.authorise(a_payment("held-up-slow", "tok_slow_6000")))
        await eventually(
            lambda: asyncio.to_thread(shared_process.get, "/v1/payments/held-up-slow"),
            lambda answer: answer.status_code == HTTPStatus.ACCEPTED,
        )
        async with asyncio.timeout(5):
            for number in range(5):
                assert isinstance(await provider.authorise(a_payment(f"held-up-{number}")), Authorised)
        assert not slow.done()
        assert isinstance(await provider.cancel(a_payment("held-up-slow")), Cancelled)
        assert isinstance(await slow, Cancelled)


async def test_more_payments_at_once_than_connections_wait_their_turn(shared_process: ProviderProcess) -> None:
    async with HttpPaymentProvider(shared_process.url, pool_size_connections=4) as provider:
        outcomes = await asyncio.gather(*(provider.authorise(a_payment(f"turn-{number}")) for number in range(100)))

    assert all(isinstance(outcome, Authorised) for outcome in outcomes)
    assert len(set(outcomes)) == 100


async def test_sigterm_ends_it_cleanly_and_soon_whatever_is_under_way(process: ProviderProcess) -> None:
    async with HttpPaymentProvider(process.url, timeout_seconds=1.0) as impatient:
        for token in ("tok_timeout", "tok_slow_5000"):
            with pytest.raises(ProviderTimeout):
                await impatient.authorise(a_payment(token, token))
    held = asyncio.create_task(asyncio.to_thread(_pay_over_a_connection_that_stays, process.url))
    async with HttpPaymentProvider(process.url) as provider:
        await eventually(lambda: provider.find(a_payment("held")), lambda found: isinstance(found, Authorised))

        began = time.monotonic()
        status = await asyncio.to_thread(process.stop)

        assert status == 0, process.log.read_text()
        assert time.monotonic() - began < 8
        await held
        process.start()
        await eventually(lambda: provider.find(a_payment("tok_slow_5000")), lambda found: isinstance(found, Authorised))
        assert isinstance(await provider.capture(a_payment("held"), AMOUNT), Captured)
        assert isinstance(await provider.refund(a_payment("held"), "r", AMOUNT), Refunded)


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


def _pay_over_a_connection_that_stays(url: str) -> None:
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
