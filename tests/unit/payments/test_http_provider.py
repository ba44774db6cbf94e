from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import msgspec
import pytest

from commandside.payments import http_provider
from commandside.payments.http_provider import MAX_ATTEMPTS_COUNT, HttpPaymentProvider
from commandside.payments.port import (
    Charged,
    PaymentKeyReused,
    PaymentRefused,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
)
from counterfoil.embedded.ports import free_port
from domain.values import Money
from tests.waiting import eventually

AMOUNT = Money(1999, "GBP")

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Script:
    """A server that gives its answers one after another, the last one for ever; keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[Request] = []
        self.connections_count = 0
        self._answers = list(answers)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_count += 1
        try:
            while not writer.is_closing():
                self.requests.append(await _request(reader))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client hung up
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(method, target, headers, await reader.readexactly(int(headers.get("Content-Length", "0"))))


def says(status: int, body: object = None, *, raw: bytes | None = None, headers: str = "") -> Answer:
    content = msgspec.json.encode(body) if raw is None else raw
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(content)}\r\n{headers}\r\n"

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + content)
        await writer.drain()

    return answer


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def is_cut_short(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"status":')
    writer.close()


async def speaks_no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
    writer.close()


async def keeps_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client hangs up


def dribbles(begin: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while not reader.at_eof():
            writer.write(b"x")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.005):
                    await reader.read()

    return answer


CHARGED = says(200, {"status": "charged", "reference": "pay_1", "a field of later times": []})
TROUBLES = [says(500), says(503), says(429), hangs_up, breaks_off, is_cut_short, speaks_no_http]


@asynccontextmanager
async def asking(*answers: Answer, **options: Any) -> AsyncIterator[tuple[HttpPaymentProvider, Script]]:
    script = Script(*answers)
    server = await asyncio.start_server(script.converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HttpPaymentProvider(f"http://127.0.0.1:{port}", **options) as provider:
        yield provider, script


async def test_a_charge_is_one_request_with_its_key() -> None:
    async with asking(CHARGED) as (provider, script):
        assert await provider.charge("a-key", AMOUNT, "tok_ok", "an-order") == Charged("pay_1")

    (request,) = script.requests
    assert (request.method, request.target) == ("POST", "/v1/payments")
    assert request.headers["Idempotency-Key"] == "a-key"
    assert request.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(request.body) == {
        "order_id": "an-order",
        "amount": {"amount": 1999, "currency": "GBP"},
        "token": "tok_ok",
    }


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_charge_is_not_repeated_behind_its_callers_back(trouble: Answer) -> None:
    async with asking(trouble, CHARGED) as (provider, script):
        with pytest.raises(ProviderUnreachable):
            await provider.charge("k", AMOUNT, "tok_ok", "o")

    assert len(script.requests) == 1


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_others_are_repeated_within_a_bound(trouble: Answer) -> None:
    async with asking(trouble, CHARGED) as (provider, script):
        assert await provider.find("k") == Charged("pay_1")
        assert len(script.requests) == 2
    async with asking(trouble, CHARGED) as (provider, script):
        assert await provider.cancel("k") == Charged("pay_1")
        assert len(script.requests) == 2

    async with asking(trouble) as (provider, script):
        with pytest.raises(ProviderUnreachable):
            await provider.find("k")
        assert len(script.requests) == MAX_ATTEMPTS_COUNT
        with pytest.raises(ProviderUnreachable):
            await provider.refund("k", "r", AMOUNT)
        assert len(script.requests) == 2 * MAX_ATTEMPTS_COUNT


async def test_nobody_there_is_unreachable() -> None:
    async with HttpPaymentProvider(f"http://127.0.0.1:{free_port()}") as provider:
        with pytest.raises(ProviderUnreachable):
            await provider.charge("k", AMOUNT, "tok_ok", "o")
        with pytest.raises(ProviderUnreachable):
            await provider.find("k")
        assert await provider.is_ready() is False


@pytest.mark.parametrize(
    "slowness",
    [keeps_silent, dribbles(b"HTTP/1.1 200 OK\r\nX: "), dribbles(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")],
)
async def test_no_whole_answer_in_time_is_a_timeout_and_is_not_repeated(slowness: Answer) -> None:
    async with asyncio.timeout(5), asking(slowness, CHARGED, timeout_seconds=0.2) as (provider, script):
        with pytest.raises(ProviderTimeout):
            await provider.find("k")

    assert len(script.requests) == 1


async def test_its_time_is_not_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    timers_seconds: list[float] = []

    def noted(when: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers_seconds.append(when - loop.time())
        return call_at(when, *arguments, **options)

    monkeypatch.setattr(loop, "call_at", noted)
    async with asking(CHARGED, timeout_seconds=60) as (provider, _):
        await provider.charge("k", AMOUNT, "tok_ok", "o")

    assert 59 < max(timers_seconds) <= 60


async def test_who_waited_in_vain_for_a_connection_was_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_provider, "WAITING_SHARE", 0.02)
    async with asking(keeps_silent, timeout_seconds=10, pool_size_connections=1) as (provider, script):
        first = asyncio.create_task(provider.charge("first", AMOUNT, "tok_ok", "o"))
        await eventually(lambda: _count(script), lambda count: count == 1)

        with pytest.raises(ProviderUnreachable):
            await provider.charge("second", AMOUNT, "tok_ok", "o")

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
                await provider.charge("k", AMOUNT, "tok_ok", "o")


@pytest.mark.parametrize(
    "nonsense",
    [
        says(200, {}),
        says(200, {"status": "lost", "reference": "r"}),
        says(200, {"status": "charged"}),
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
    async with asking(nonsense, CHARGED) as (provider, script):
        with pytest.raises(ProviderMisbehaved):
            await provider.charge("k", AMOUNT, "tok_ok", "o")

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
async def test_a_charge_that_is_not_taken_as_it_is_is_refused(refusal: Answer) -> None:
    async with asking(refusal, CHARGED) as (provider, script):
        with pytest.raises(PaymentRefused):
            await provider.charge("k", AMOUNT, "tok_ok", "o")

    assert len(script.requests) == 1


async def test_what_refuses_to_tell_or_to_cancel_says_nothing_of_the_payment() -> None:
    for answer in (says(400, {}), says(401, {}), says(422, {})):
        async with asking(answer) as (provider, _):
            with pytest.raises(ProviderMisbehaved):
                await provider.find("k")
            with pytest.raises(ProviderMisbehaved):
                await provider.cancel("k")


async def test_a_reused_key_is_told() -> None:
    async with asking(says(422, {"type": "/problems/idempotency-key-reused"})) as (provider, _):
        with pytest.raises(PaymentKeyReused):
            await provider.charge("k", AMOUNT, "tok_ok", "o")
        with pytest.raises(PaymentKeyReused):
            await provider.refund("k", "r", AMOUNT)


@pytest.mark.parametrize(("key", "segment"), [("../books?x#y", "..%2Fbooks%3Fx%23y"), ("..", ".."), ("a b", "a%20b")])
async def test_a_key_stays_inside_its_segment_of_the_path(key: str, segment: str) -> None:
    async with asking(says(404)) as (provider, script):
        assert await provider.find(key) is None

    assert script.requests[0].target == f"/v1/payments/{segment}"


async def test_readiness_is_an_answer_not_an_error() -> None:
    for answer, is_ready in ((says(200), True), (says(503), False), (hangs_up, False), (keeps_silent, False)):
        async with asking(answer, timeout_seconds=0.2) as (provider, script):
            assert await provider.is_ready() is is_ready
            assert script.requests[0].target == "/readyz"


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async with asking(CHARGED) as (provider, _):
        assert await provider.find("k") == Charged("pay_1")


async def test_a_connection_is_used_again() -> None:
    async with asking(CHARGED) as (provider, script):
        for _ in range(5):
            await provider.charge("k", AMOUNT, "tok_ok", "o")

    assert script.connections_count == 1


async def test_a_connection_that_was_idle_too_long_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_provider, "IDLE_CONNECTION_TIMEOUT_SECONDS", 0.01)

    async with asking(CHARGED) as (provider, script):

        async def asked_again() -> int:
            await provider.find("k")
            return script.connections_count

        await eventually(asked_again, lambda count: count > 1)


async def test_there_are_never_more_connections_than_the_pool_has() -> None:
    async with asking(CHARGED, pool_size_connections=3) as (provider, script):
        outcomes = await asyncio.gather(*(provider.charge(f"{n}", AMOUNT, "tok_ok", "o") for n in range(50)))

    assert outcomes == [Charged("pay_1")] * 50
    assert script.connections_count == 3


def test_it_can_be_made_before_there_is_a_loop() -> None:
    provider = HttpPaymentProvider(f"http://127.0.0.1:{free_port()}")

    async def ask() -> bool:
        async with provider:
            return await provider.is_ready()

    assert asyncio.run(ask()) is False


async def test_a_closed_one_stays_closed() -> None:
    async with asking(CHARGED) as (used, _):
        await used.find("k")
        await used.close()
        await used.close()
        with pytest.raises(RuntimeError, match="closed"):
            await used.find("k")
    unused = HttpPaymentProvider("http://127.0.0.1:1")
    await unused.close()
    with pytest.raises(RuntimeError, match="closed"):
        await unused.find("k")


async def _count(script: Script) -> int:
    return len(script.requests)
