"""The `stripe` library, bounded: how it reaches Stripe, and what its errors are to the port."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import aiohttp
import msgspec
import stripe

from commandside.payments.port import (
    PaymentKeyReused,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
)
from commandside.payments.stripe_intent import PaymentError

# What the answers look like hangs on it: a newer library does not change it, only who has read Stripe's changelog.
API_VERSION: Final = "2026-10-28.endive"
# By the library, after half a second and more, under the same idempotency key: without a connection, 409 and 5xx.
RETRIES_COUNT: Final = 2
KEYS_COUNT: Final = 3
CONNECT_TIMEOUT_SECONDS: Final = 2.0
IDLE_CONNECTION_TIMEOUT_SECONDS: Final = 20.0

Answer = TypeVar("Answer", bound=stripe.StripeObject)
Content = TypeVar("Content")

# Both mean that somebody else is at it just now.
_IN_USE: Final = frozenset({"idempotency_key_in_use", "lock_timeout"})


def connect(
    api_key: str, api_base: str | None, timeout_seconds: float, pool_size_connections: int
) -> tuple[stripe.StripeClient, HttpClient]:
    """A client of the library, and what it speaks HTTP through, which has to be closed. Belongs to the running loop."""
    stripe.enable_telemetry = False
    # It logs what is sent and answered, client secrets among it.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    http = HttpClient(timeout_seconds, pool_size_connections)
    client = stripe.StripeClient(
        api_key,
        stripe_version=API_VERSION,
        base_addresses={} if api_base is None else {"api": api_base},
        max_network_retries=RETRIES_COUNT,
        http_client=http,
    )
    return client, http


class HttpClient(stripe.HTTPClient):
    """What the library's own client of aiohttp does, with a limit to everything, no proxy and no redirects."""

    name = "aiohttp"

    def __init__(self, timeout_seconds: float, pool_size_connections: int) -> None:
        super().__init__()
        self._timeout_seconds = timeout_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=pool_size_connections,
                keepalive_timeout=IDLE_CONNECTION_TIMEOUT_SECONDS,
                # The certificates that the library brings: an image may have none.
                ssl=ssl.create_default_context(cafile=stripe.ca_bundle_path),
            ),
            timeout=aiohttp.ClientTimeout(
                total=timeout_seconds,
                sock_connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds),
                ceil_threshold=math.inf,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            async with self._session.request(
                method, url, data=post_data, headers=headers, allow_redirects=False
            ) as response:
                body, status = await response.read(), response.status
        except aiohttp.ConnectionTimeoutError as error:
            raise _unreachable("no connection in time") from error
        except TimeoutError as error:
            raise ProviderTimeout(f"no answer in {self._timeout_seconds} s") from error
        except aiohttp.ClientError as error:
            raise _unreachable(f"{type(error).__name__}: {error}") from error
        # The page of a gateway in between, say: the library can tell its status, but trips over its content.
        return body if _is_success(status) or _is_error(body) else b"", status, response.headers

    def sleep_async(self, secs: float) -> Awaitable[None]:
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        await self._session.close()


async def under(key: str, send: Callable[[stripe.RequestOptions], Awaitable[Answer]]) -> Answer:
    """What is sent under this idempotency key; where Stripe only repeats an old failure of its own, under the next one.

    Everybody walks the same keys in the same order, and so ends at the same one.
    """
    for attempt in range(1, KEYS_COUNT):
        try:
            return await send({"idempotency_key": f"{key}/{attempt}"})
        except stripe.APIError as error:
            if not _is_stored_failure(error):
                raise
    return await send({"idempotency_key": f"{key}/{KEYS_COUNT}"})


def read(answer: stripe.StripeObject, kind: type[Content]) -> Content:
    """The fields that we look at. Raises ProviderMisbehaved where they are not there."""
    response = answer.last_response
    if response is None:
        raise ProviderMisbehaved("Stripe answered with no object")
    try:
        return msgspec.json.decode(response.body, type=kind)
    except msgspec.DecodeError as error:
        raise ProviderMisbehaved(f"Stripe's answer is not as documented: {error}") from None


def is_replay(answer: stripe.StripeObject) -> bool:
    """Whether it was given before, under the same idempotency key: it shows what was true then."""
    return answer.last_response is not None and _is_replayed(answer.last_response.headers)


def port_error(error: stripe.StripeError) -> Exception:
    """What the port raises for it. Stripe's own words stay out: they may quote what was sent."""
    status = error.http_status or 0
    if isinstance(error, stripe.APIConnectionError):
        return ProviderUnreachable(error.user_message)
    if isinstance(error, stripe.IdempotencyError):
        return PaymentKeyReused("the key was used before with other parameters")
    if isinstance(error, stripe.RateLimitError) or status == 409 or status >= 500:
        return ProviderUnreachable(described(error))
    return ProviderMisbehaved(described(error))


def described(error: stripe.StripeError) -> str:
    """By codes alone, and the request's id, under which Stripe's dashboard shows all of it."""
    codes = [value for value in (_field(error, "type"), _field(error, "code"), _field(error, "param")) if value]
    return f"Stripe answered {error.http_status} {' '.join(codes)} (request {error.request_id})"


def code_of(error: stripe.StripeError) -> str | None:
    return _field(error, "code")


def reason_of(error: stripe.CardError) -> str:
    return PaymentError(code_of(error), _field(error, "decline_code")).reason


def is_in_use(error: stripe.StripeError) -> bool:
    """Whether another request has the same key, or the same object, in its hands."""
    return code_of(error) in _IN_USE or error.http_status == 409


class _Error(msgspec.Struct):
    error: dict[str, object]


def _is_stored_failure(error: stripe.APIError) -> bool:
    return (error.http_status or 0) >= 500 and _is_replayed(error.headers)


def _is_replayed(headers: Mapping[str, str] | None) -> bool:
    return headers is not None and headers.get("Idempotent-Replayed") == "true"


def _field(error: stripe.StripeError, name: str) -> str | None:
    value = getattr(error.error, name, None)
    return value if isinstance(value, str) else None


def _unreachable(text: str) -> stripe.APIConnectionError:
    """The library tries again."""
    return stripe.APIConnectionError(text, should_retry=True)  # type: ignore[no-untyped-call]


def _is_success(status: int) -> bool:
    return 200 <= status < 300


def _is_error(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
