"""The provider's HTTP face."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from counterfoil.payment_provider.books import FailedOnPurpose, KeyReused, UnknownPayment
from counterfoil.payment_provider.clerk import Clerk
from counterfoil.payment_provider.tokens import plan_for
from counterfoil.payment_provider.wire import (
    AuthoriseRequest,
    CaptureRequest,
    Key,
    Payment,
    PaymentPage,
    Problem,
    RefundRequest,
    encode,
)

MAX_BODY_BYTES: Final = 16 * 1024
MAX_PAGE_SIZE_PAYMENTS: Final = 1_000
PAGE_SIZE_PAYMENTS: Final = 100
LONGEST_SILENCE_SECONDS: Final = 60.0
WEBHOOK_DELAY_SECONDS: Final = 0.5

T = TypeVar("T")


def create_app(clerk: Clerk, *, webhook_delay_seconds: float = WEBHOOK_DELAY_SECONDS) -> Starlette:
    """The provider over the books that `clerk` keeps. Starts nothing by itself."""

    async def authorise(request: Request) -> Response:
        if "Idempotency-Key" not in request.headers:
            raise Refusal(HTTPStatus.BAD_REQUEST, "idempotency-key-missing", "Every payment has an Idempotency-Key.")
        key = _valid_key(request.headers["Idempotency-Key"])
        body = _decoded(await _body(request), AuthoriseRequest)
        plan = plan_for(body.token)
        now = time.time()
        delay_seconds = webhook_delay_seconds if plan.way == "webhook" else plan.delay_milliseconds / 1000
        payment, is_new = await clerk.do(clerk.books.authorise, key, body, plan, now + delay_seconds, now)
        if is_new and plan.way == "silent":
            await _keep_silent(request)
        if is_new and plan.way in {"slow", "webhook"}:
            clerk.expect_work()
        if is_new and plan.way == "slow":
            # Whoever comes first settles it, this request or `settle_forever`; without a caller the latter does.
            await asyncio.sleep(max(now + delay_seconds - time.time(), 0))
            await clerk.do(clerk.books.settle_due, time.time())
            payment = await clerk.do(clerk.books.find, key)
        return _payment_answer(payment)

    async def find(request: Request) -> Response:
        return _payment_answer(await clerk.do(clerk.books.find, _path_key(request)))

    async def capture(request: Request) -> Response:
        body = _decoded(await _body(request), CaptureRequest)
        taken, is_answered = await clerk.do(clerk.books.capture, _path_key(request), body.amount, time.time())
        if not is_answered:
            clerk.expect_work()
            await _keep_silent(request)
        return _json(taken)

    async def cancel(request: Request) -> Response:
        key = _path_key(request)
        payment = await clerk.do(clerk.books.cancel, key, time.time())
        clerk.expect_work()
        return _payment_answer(payment)

    async def refund(request: Request) -> Response:
        body = _decoded(await _body(request), RefundRequest)
        return _json(await clerk.do(clerk.books.refund, _path_key(request), body, time.time()))

    async def page(request: Request) -> Response:
        limit = _whole_number(request, "limit", PAGE_SIZE_PAYMENTS, 1, MAX_PAGE_SIZE_PAYMENTS)
        after = _whole_number(request, "after", 0, 0, 2**62)
        return _json(PaymentPage(*await clerk.do(clerk.books.page, after, limit)))

    async def books(_request: Request) -> Response:
        return _json(await clerk.do(clerk.books.summary))

    async def live(_request: Request) -> Response:
        return _json({"status": "ok"})

    async def ready(_request: Request) -> Response:
        await clerk.do(clerk.books.next_delivery_at)
        return _json({"status": "ok"})

    return Starlette(
        routes=[
            Route("/v1/payments", authorise, methods=["POST"]),
            Route("/v1/payments", page, methods=["GET"]),
            Route("/v1/payments/{key}", find, methods=["GET"]),
            Route("/v1/payments/{key}/capture", capture, methods=["POST"]),
            Route("/v1/payments/{key}/cancel", cancel, methods=["POST"]),
            Route("/v1/payments/{key}/refunds", refund, methods=["POST"]),
            Route("/v1/books", books, methods=["GET"]),
            Route("/healthz", live, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
        ],
        exception_handlers={
            Refusal: _refused,
            KeyReused: _key_reused,
            UnknownPayment: _unknown,
            FailedOnPurpose: _failed_on_purpose,
        },
    )


class Refusal(Exception):
    def __init__(self, status: HTTPStatus, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail


def _payment_answer(payment: Payment) -> Response:
    is_open = payment.status in {"pending", "processing"}
    return _json(payment, HTTPStatus.ACCEPTED if is_open else HTTPStatus.OK)


async def _keep_silent(request: Request) -> None:
    try:
        async with asyncio.timeout(LONGEST_SILENCE_SECONDS):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        raise Refusal(HTTPStatus.GATEWAY_TIMEOUT, "no-answer", "There was to be no answer.") from None


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", f"A body has at most {MAX_BODY_BYTES} bytes."
            )
    return body


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "not-json", str(error)) from error


def _path_key(request: Request) -> str:
    return _valid_key(request.path_params["key"])


def _valid_key(text: str) -> str:
    try:
        return msgspec.convert(text, Key)
    except msgspec.ValidationError as error:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", f"key: {error}") from error


def _whole_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most):
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", f"{name} is a whole number from {least} to {most}.")
    return int(text)


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _problem(error.status, error.slug, error.detail)


def _key_reused(_request: Request, _error: Exception) -> Response:
    detail = "This key was used before with another amount."
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)


def _unknown(_request: Request, _error: Exception) -> Response:
    return _problem(HTTPStatus.NOT_FOUND, "not-found", "No payment has this key.")


def _failed_on_purpose(_request: Request, _error: Exception) -> Response:
    detail = "The token asks for a first attempt that fails. Nothing came of it."
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "failed-on-purpose", detail)


def _json(answer: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(encode(answer), status, media_type="application/json")


def _problem(status: HTTPStatus, slug: str, detail: str) -> Response:
    problem = Problem(f"/problems/{slug}", status.phrase, status, detail)
    return Response(encode(problem), status, media_type="application/problem+json")
