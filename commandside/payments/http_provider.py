"""The port over HTTP, as the built-in provider speaks it (`docs/payments.md`)."""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from yarl import URL

from commandside.payments.port import (
    AuthorisationOutcome,
    Authorised,
    Cancelled,
    Captured,
    CaptureOutcome,
    CaptureRefused,
    Declined,
    Payment,
    PaymentKeyReused,
    PaymentOutcome,
    PaymentRefused,
    Pending,
    Processing,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
    RefundOutcome,
    RefundRefused,
)
from domain.values import Money

CONNECT_TIMEOUT_SECONDS: Final = 2.0
POOL_SIZE_CONNECTIONS: Final = 256
# Less than the 5 s after which the provider hangs up: a payment must not meet it on its way out.
IDLE_CONNECTION_TIMEOUT_SECONDS: Final = 4.0
# Whoever has waited for a connection so long is not sent any more: what was never sent surely came to nothing.
WAITING_SHARE: Final = 0.8
MAX_ATTEMPTS_COUNT: Final = 3
LONGEST_PAUSE_SECONDS: Final = 0.5


class HttpPaymentProvider:
    """A provider at `base_url` (`http://127.0.0.1:8003`). Implements PaymentProvider; close it, or use `async with`.

    `timeout_seconds` bounds every attempt from the wait for a connection to the last byte received. `authorise` makes
    one attempt (only its caller can look for the payment in between); the others make up to three when nobody can be
    reached. Belongs to the event loop in which it is first asked, and may be made before there is one.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_seconds: float = 5.0,
        pool_size_connections: int = POOL_SIZE_CONNECTIONS,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._pool_size_connections = pool_size_connections
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def authorise(self, payment: Payment) -> PaymentOutcome:
        body = {"order_id": payment.order_id, "amount": payment.amount, "token": payment.token}
        answer = await self._ask("POST", "/v1/payments", body, {"Idempotency-Key": payment.key})
        if _is_refusal(answer):
            raise PaymentRefused(_described(answer))
        return _outcome(answer)

    async def find(self, payment: Payment) -> PaymentOutcome | None:
        answer = await self._insist("GET", _path(payment))
        return None if answer.status == HTTPStatus.NOT_FOUND else _outcome(answer)

    async def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        answer = await self._insist("POST", f"{_path(payment)}/capture", {"amount": amount})
        match _decoded(answer, _Capture):
            case _Capture("captured", reference=str(reference), amount=Money() as captured):
                return Captured(reference, captured)
            case _Capture("refused", reason=str(reason)):
                return CaptureRefused(reason)
        raise _misbehaved(answer)

    async def cancel(self, payment: Payment) -> AuthorisationOutcome:
        answer = await self._insist("POST", f"{_path(payment)}/cancel")
        outcome = _outcome(answer)
        if isinstance(outcome, Cancelled | Captured | Declined):
            return outcome
        raise _misbehaved(answer)  # it is still held, or may yet be

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        answer = await self._insist("POST", f"{_path(payment)}/refunds", {"refund_key": refund_key, "amount": amount})
        match _decoded(answer, _Refund):
            case _Refund("refunded", reference=str(reference)):
                return Refunded(reference)
            case _Refund("refused", reason=str(reason)):
                return RefundRefused(reason)
        raise _misbehaved(answer)

    async def is_ready(self) -> bool:
        """Whether it takes payments now: for a readiness page. Never raises."""
        try:
            return _is_success(await self._ask("GET", "/readyz"))
        except (ProviderUnreachable, ProviderTimeout):
            return False

    async def close(self) -> None:
        """Hangs up. Asking afterwards raises RuntimeError."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _insist(self, method: str, path: str, body: dict[str, Any] | None = None) -> _Answer:
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(ProviderUnreachable),
            stop=stop_after_attempt(MAX_ATTEMPTS_COUNT),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE_SECONDS),
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await attempts(self._ask, method, path, body)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> _Answer:
        session = self._opened()
        content = None if body is None else msgspec.json.encode(body)
        # Encoded already, and sent as it is: a key may look like a part of a path.
        url = URL(self._base_url + path, encoded=True)
        try:
            async with session.request(method, url, data=content, headers=headers, allow_redirects=False) as response:
                answer = _Answer(method, path, response.status, await response.read())
        except aiohttp.ConnectionTimeoutError as error:
            raise ProviderUnreachable("no connection in time") from error
        except TimeoutError as error:
            raise ProviderTimeout(f"no answer to {method} {path} in {self._timeout_seconds} s") from error
        except aiohttp.ClientError as error:
            raise _unreachable(error) from error
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ProviderUnreachable(f"{method} {path} was answered with {answer.status}")
        if _is_key_reuse(answer):
            raise PaymentKeyReused("the key was used before with another amount")
        return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this provider is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._pool_size_connections, keepalive_timeout=IDLE_CONNECTION_TIMEOUT_SECONDS
                ),
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout_seconds,
                    connect=self._timeout_seconds * WAITING_SHARE,
                    sock_connect=min(CONNECT_TIMEOUT_SECONDS, self._timeout_seconds),
                    ceil_threshold=math.inf,  # else 5 s are rounded up to a whole second of the loop's clock
                ),
                headers={"Content-Type": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                middlewares=[_once],
            )
        return self._session


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp sends a GET that was cut off again by itself; how often it is asked is `_insist`'s to say."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _unreachable(error) from error


class _Answer(NamedTuple):
    method: str
    path: str
    status: int
    body: bytes


class _Payment(msgspec.Struct, frozen=True):
    status: Literal["authorised", "captured", "declined", "cancelled", "pending", "processing"]
    reference: str | None = None
    reason: str | None = None
    amount: Money | None = None
    captured_amount: int | None = None


class _Capture(msgspec.Struct, frozen=True):
    status: Literal["captured", "refused"]
    reference: str | None = None
    amount: Money | None = None
    reason: str | None = None


class _Refund(msgspec.Struct, frozen=True):
    status: Literal["refunded", "refused"]
    reference: str | None = None
    reason: str | None = None


class _Problem(msgspec.Struct, frozen=True):
    type: str


# What msgspec raises for bytes that are not JSON, or not the JSON that was expected.
_BAD_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_FOR_NOW: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)

Answer = TypeVar("Answer")

_OUTCOMES: Final[dict[str, type[Authorised | Cancelled | Pending | Processing]]] = {
    "authorised": Authorised,
    "cancelled": Cancelled,
    "pending": Pending,
    "processing": Processing,
}


def _outcome(answer: _Answer) -> PaymentOutcome:
    match _decoded(answer, _Payment):
        case _Payment("declined", reason=str(reason)):
            return Declined(reason)
        case _Payment("captured", reference=str(reference), amount=Money() as held, captured_amount=int(taken)):
            return Captured(reference, Money(taken, held.currency))
        case _Payment(status, reference=str(reference)) if status in _OUTCOMES:
            return _OUTCOMES[status](reference)
    raise _misbehaved(answer)


def _decoded(answer: _Answer, kind: type[Answer]) -> Answer:
    if not _is_success(answer):
        raise _misbehaved(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except _BAD_JSON as error:
        raise _misbehaved(answer) from error


def _is_key_reuse(answer: _Answer) -> bool:
    if answer.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        return False
    try:
        return msgspec.json.decode(answer.body, type=_Problem).type == "/problems/idempotency-key-reused"
    except _BAD_JSON:
        return False  # some other 422, which the caller reports as what it is


def _is_refusal(answer: _Answer) -> bool:
    """Of the request as it is: the other 4xx say that it may be taken at another time."""
    return HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in _FOR_NOW


def _is_success(answer: _Answer) -> bool:
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


def _unreachable(error: Exception) -> ProviderUnreachable:
    return ProviderUnreachable(f"{type(error).__name__}: {error}")


def _misbehaved(answer: _Answer) -> ProviderMisbehaved:
    return ProviderMisbehaved(_described(answer))


def _described(answer: _Answer) -> str:
    begin = answer.body[:200].decode(errors="replace")
    return f"{answer.method} {answer.path} was answered with {answer.status}: {begin!r}"


def _path(payment: Payment) -> str:
    return f"/v1/payments/{quote(payment.key, safe='')}"
