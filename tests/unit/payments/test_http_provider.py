from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from commandside.payments import http_provider
from commandside.payments.http_provider import MAX_ATTEMPTS_COUNT, HttpPaymentProvider
from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    CaptureRefused,
    Declined,
    Payment,
    PaymentKeyReused,
    PaymentRefused,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
    RefundRefused,
)
from domain.values import Money
from tests.fixtures.ports import free_port
from tests.payments import AMOUNT, a_payment
from tests.unit.payments.scripted_server import (
    Answer,
    Script,
    breaks_off,
    dribbles,
    hangs_up,
    is_cut_short,
    keeps_silent,
    says,
    speaks_no_http,
)
from tests.waiting import eventually

PAYMENT = a_payment()
PART = Money(1200, "GBP")

HELD = says(200, {"status": "authorised", "reference": "pay_1", "a field of later times": []})
TROUBLES = [says(500), says(503), says(429), hangs_up, breaks_off, is_cut_short, speaks_no_http]


@asynccontextmanager
async def asking(*answers: Answer, **options: Any) -> AsyncIterator[tuple[HttpPaymentProvider, Script]]:
    script = Script(*answers)
    server = await asyncio.start_server(script.converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HttpPaymentProvider(f"http://127.0.0.1:{port}", **options) as provider:
        yield provider, script


async def test_an_authorisation_is_one_request_with_its_key() -> None:
    async with asking(HELD) as (provider, script):
        assert await provider.authorise(Payment("a-key", AMOUNT, "tok_ok", "an-order")) == Authorised("pay_1")

    (request,) = script.requests
    assert (request.method, request.target) == ("POST", "/v1/payments")
    assert request.headers["Idempotency-Key"] == "a-key"
    assert request.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(request.body) == {
        "order_id": "an-order",
        "amount": {"amount": 1999, "currency": "GBP"},
        "token": "tok_ok",
    }


async def test_a_capture_is_one_request_and_says_how_much_was_taken() -> None:
    captured = says(200, {"status": "captured", "reference": "pay_1", "amount": PART})
    async with asking(captured) as (provider, script):
        assert await provider.capture(a_payment("a-key"), AMOUNT) == Captured("pay_1", PART)

    (request,) = script.requests
    assert (request.method, request.target) == ("POST", "/v1/payments/a-key/capture")
    assert msgspec.json.decode(request.body) == {"amount": {"amount": 1999, "currency": "GBP"}}


async def test_a_refused_capture_says_why() -> None:
    async with asking(says(200, {"status": "refused", "reason": "not_authorised"})) as (provider, _):
        assert await provider.capture(PAYMENT, AMOUNT) == CaptureRefused("not_authorised")


async def test_a_refund_is_one_request_with_its_key() -> None:
    done = says(200, {"status": "refunded", "refund_key": "r", "reference": "ref_1"})
    async with asking(done, says(200, {"status": "refused", "reason": "exceeds_capture"})) as (provider, script):
        assert await provider.refund(a_payment("a-key"), "r", PART) == Refunded("ref_1")
        assert await provider.refund(PAYMENT, "r", PART) == RefundRefused("exceeds_capture")

    request = script.requests[0]
    assert (request.method, request.target) == ("POST", "/v1/payments/a-key/refunds")
    assert msgspec.json.decode(request.body) == {"refund_key": "r", "amount": {"amount": 1200, "currency": "GBP"}}


async def test_of_a_captured_payment_it_says_how_much_was_taken() -> None:
    captured = says(200, {"status": "captured", "reference": "pay_1", "amount": AMOUNT, "captured_amount": 1200})
    async with asking(captured) as (provider, _):
        for answer in (provider.authorise(PAYMENT), provider.find(PAYMENT), provider.cancel(PAYMENT)):
            assert await answer == Captured("pay_1", PART)


async def test_what_is_declined_has_its_reason() -> None:
    async with asking(says(200, {"status": "declined", "reference": "r", "reason": "card_declined"})) as (provider, _):
        assert await provider.authorise(PAYMENT) == Declined("card_declined")


@pytest.mark.parametrize("status", ["authorised", "pending", "processing"])
async def test_what_is_not_let_go_was_not_cancelled(status: str) -> None:
    async with asking(says(200, {"status": status, "reference": "r"})) as (provider, _):
        with pytest.raises(ProviderMisbehaved):
            await provider.cancel(PAYMENT)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"status": "captured", "reference": "r"},
        {"status": "captured", "amount": AMOUNT},
        {"status": "authorised", "reference": "r"},
        {"status": "refused"},
    ],
)
async def test_what_a_capture_may_not_answer_is_named_as_that(nonsense: dict[str, Any]) -> None:
    async with asking(says(200, nonsense)) as (provider, _):
        with pytest.raises(ProviderMisbehaved):
            await provider.capture(PAYMENT, AMOUNT)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_an_authorisation_is_not_repeated_behind_its_callers_back(trouble: Answer) -> None:
    async with asking(trouble, HELD) as (provider, script):
        with pytest.raises(ProviderUnreachable):
            await provider.authorise(PAYMENT)

    assert len(script.requests) == 1


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_others_are_repeated_within_a_bound(trouble: Answer) -> None:
    async with asking(trouble, HELD) as (provider, script):
        assert await provider.find(PAYMENT) == Authorised("pay_1")
        assert len(script.requests) == 2
    async with asking(trouble, says(200, {"status": "cancelled", "reference": "pay_1"})) as (provider, script):
        assert await provider.cancel(PAYMENT) == Cancelled("pay_1")
        assert len(script.requests) == 2
    async with asking(trouble, says(200, {"status": "captured", "reference": "r", "amount": PART})) as (
        provider,
        script,
    ):
        assert await provider.capture(PAYMENT, PART) == Captured("r", PART)
        assert len(script.requests) == 2

    async with asking(trouble) as (provider, script):
        with pytest.raises(ProviderUnreachable):
            await provider.find(PAYMENT)
        assert len(script.requests) == MAX_ATTEMPTS_COUNT
        with pytest.raises(ProviderUnreachable):
            await provider.refund(PAYMENT, "r", AMOUNT)
        assert len(script.requests) == 2 * MAX_ATTEMPTS_COUNT
        with pytest.raises(ProviderUnreachable):
            await provider.capture(PAYMENT, AMOUNT)
        assert len(script.requests) == 3 * MAX_ATTEMPTS_COUNT


async def test_nobody_there_is_unreachable() -> None:
    async with HttpPaymentProvider(f"http://127.0.0.1:{free_port()}") as provider:
        with pytest.raises(ProviderUnreachable):
            await provider.authorise(PAYMENT)
        with pytest.raises(ProviderUnreachable):
            await provider.find(PAYMENT)
        assert await provider.is_ready() is False


@pytest.mark.parametrize(
    "slowness",
    [keeps_silent, dribbles(b"HTTP/1.1 200 OK\r\nX: "), dribbles(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")],
)
async def test_no_whole_answer_in_time_is_a_timeout_and_is_not_repeated(slowness: Answer) -> None:
    async with asyncio.timeout(10), asking(slowness, HELD, timeout_seconds=0.5) as (provider, script):
        with pytest.raises(ProviderTimeout):
            await provider.find(PAYMENT)

    assert len(script.requests) == 1


async def test_its_time_is_not_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    timers_seconds: list[float] = []

    def noted(when: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers_seconds.append(when - loop.time())
        return call_at(when, *arguments, **options)

    monkeypatch.setattr(loop, "call_at", noted)
    async with asking(HELD, timeout_seconds=60) as (provider, _):
        await provider.authorise(PAYMENT)

    assert 59 < max(timers_seconds) <= 60


async def test_who_waited_in_vain_for_a_connection_was_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_provider, "WAITING_SHARE", 0.02)
    async with asking(keeps_silent, timeout_seconds=10, pool_size_connections=1) as (provider, script):
        first = asyncio.create_task(provider.authorise(a_payment("first")))
        await eventually(lambda: _count(script), lambda count: count == 1)

        with pytest.raises(ProviderUnreachable):
            await provider.authorise(a_payment("second"))

        assert not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert [request.headers["Idempotency-Key"] for request in script.requests] == ["first"]


async def test_a_server_that_accepts_nobody_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_provider, "CONNECT_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        first.connect(address)  # and takes the only place in the queue
        url = f"http://127.0.0.1:{address[1]}"
        async with asyncio.timeout(5), HttpPaymentProvider(url, timeout_seconds=20) as provider:
            with pytest.raises(ProviderUnreachable, match="no connection in time"):
                await provider.authorise(PAYMENT)


@pytest.mark.parametrize(
    "nonsense",
    [
        says(200, {}),
        says(200, {"status": "lost", "reference": "r"}),
        says(200, {"status": "charged", "reference": "r"}),
        says(200, {"status": "authorised"}),
        says(200, {"status": "captured", "reference": "r"}),
        says(200, {"status": "captured", "reference": "r", "amount": AMOUNT}),
        says(200, {"status": "declined", "reference": "r"}),
        says(200, {"status": "refunded", "reference": "r"}),
        says(200, []),
        says(200, raw=b""),
        says(200, raw=b'{"status": "\xff"}'),
        says(200, raw=b'{"x": ' + b"[" * 100_000),
        says(302, {}, headers="Location: /elsewhere\r\n"),
        says(408, {}),
        says(409, {}),
        says(425, {}),
    ],
)
async def test_what_the_contract_lacks_is_named_as_that(nonsense: Answer) -> None:
    async with asking(nonsense, HELD) as (provider, script):
        with pytest.raises(ProviderMisbehaved):
            await provider.authorise(PAYMENT)

    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        says(400, {"type": "/problems/not-json"}),
        says(401, {}),
        says(404, {}),
        says(413, {}),
        says(422, {"type": "/problems/invalid"}),
        says(422, raw=b"\xff"),
    ],
)
async def test_a_payment_that_is_not_taken_as_it_is_is_refused(refusal: Answer) -> None:
    async with asking(refusal, HELD) as (provider, script):
        with pytest.raises(PaymentRefused):
            await provider.authorise(PAYMENT)

    assert len(script.requests) == 1


async def test_what_refuses_to_tell_or_to_cancel_says_nothing_of_the_payment() -> None:
    for answer in (says(400, {}), says(401, {}), says(422, {})):
        async with asking(answer) as (provider, _):
            with pytest.raises(ProviderMisbehaved):
                await provider.find(PAYMENT)
            with pytest.raises(ProviderMisbehaved):
                await provider.cancel(PAYMENT)
            with pytest.raises(ProviderMisbehaved):
                await provider.capture(PAYMENT, AMOUNT)


async def test_a_reused_key_is_told() -> None:
    async with asking(says(422, {"type": "/problems/idempotency-key-reused"})) as (provider, _):
        with pytest.raises(PaymentKeyReused):
            await provider.authorise(PAYMENT)
        with pytest.raises(PaymentKeyReused):
            await provider.refund(PAYMENT, "r", AMOUNT)


@pytest.mark.parametrize(("key", "segment"), [("../books?x#y", "..%2Fbooks%3Fx%23y"), ("..", ".."), ("a b", "a%20b")])
async def test_a_key_stays_inside_its_segment_of_the_path(key: str, segment: str) -> None:
    async with asking(says(404)) as (provider, script):
        assert await provider.find(a_payment(key)) is None

    assert script.requests[0].target == f"/v1/payments/{segment}"


async def test_readiness_is_an_answer_not_an_error() -> None:
    for answer, is_ready in ((says(200), True), (says(503), False), (hangs_up, False), (keeps_silent, False)):
        async with asking(answer, timeout_seconds=0.5 if answer is keeps_silent else 5) as (provider, script):
            assert await provider.is_ready() is is_ready
            assert script.requests[0].target == "/readyz"


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async with asking(HELD) as (provider, _):
        assert await provider.find(PAYMENT) == Authorised("pay_1")


async def test_a_connection_is_used_again() -> None:
    async with asking(HELD) as (provider, script):
        for _ in range(5):
            await provider.authorise(PAYMENT)

    assert script.connections_count == 1


async def test_a_connection_that_was_idle_too_long_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_provider, "IDLE_CONNECTION_TIMEOUT_SECONDS", 0.01)

    async with asking(HELD) as (provider, script):

        async def asked_again() -> int:
            await provider.find(PAYMENT)
            return script.connections_count

        await eventually(asked_again, lambda count: count > 1)


async def test_there_are_never_more_connections_than_the_pool_has() -> None:
    async with asking(HELD, pool_size_connections=3) as (provider, script):
        outcomes = await asyncio.gather(*(provider.authorise(a_payment(f"{n}")) for n in range(50)))

    assert outcomes == [Authorised("pay_1")] * 50
    assert script.connections_count == 3


def test_it_can_be_made_before_there_is_a_loop() -> None:
    provider = HttpPaymentProvider(f"http://127.0.0.1:{free_port()}")

    async def ask() -> bool:
        async with provider:
            return await provider.is_ready()

    assert asyncio.run(ask()) is False


async def test_a_closed_one_stays_closed() -> None:
    async with asking(HELD) as (used, _):
        await used.find(PAYMENT)
        await used.close()
        await used.close()
        with pytest.raises(RuntimeError, match="closed"):
            await used.find(PAYMENT)
    unused = HttpPaymentProvider("http://127.0.0.1:1")
    await unused.close()
    with pytest.raises(RuntimeError, match="closed"):
        await unused.find(PAYMENT)


async def _count(script: Script) -> int:
    return len(script.requests)
