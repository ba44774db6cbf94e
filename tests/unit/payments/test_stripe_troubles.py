"""The adapter against a locally served Stripe of ours that is silent, busy, broken, or loses its answers."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    Payment,
    PaymentRefused,
    Processing,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
)
from commandside.payments.settle import settle
from commandside.payments.stripe_provider import StripePaymentProvider
from tests.fakes.stripe.server import API_KEY, StripeServer, Trouble
from tests.fixtures.ports import free_port
from tests.payments import AMOUNT
from tests.unit.payments.stripe_payments import captured, gbp, held_or_taken


class TestLostAnswers:
    @pytest.mark.parametrize("what", ["create", "confirm"])
    @pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.SILENT])
    async def test_an_authorisation_without_an_answer_is_found_or_made(
        self,
        provider: StripePaymentProvider,
        impatient: StripePaymentProvider,
        server: StripeServer,
        payment: Payment,
        what: str,
        trouble: Trouble,
    ) -> None:
        server.happens(what, trouble)
        with pytest.raises(ProviderTimeout):
            await impatient.authorise(payment)

        outcome = await settle(provider, payment, asyncio.get_running_loop().time() + 5, asked_before=True)

        assert isinstance(outcome, Authorised)
        assert held_or_taken(server, payment) == ["requires_capture"]

    @pytest.mark.parametrize("what", ["create", "confirm"])
    async def test_an_answer_that_is_cut_off_is_asked_for_again_by_the_library(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment, what: str
    ) -> None:
        server.happens(what, Trouble.CUT_OFF)

        assert isinstance(await provider.authorise(payment), Authorised)

        keys = {asked.headers["idempotency-key"] for asked in server.asked if asked.what == what}
        assert (len(keys), server.count(what)) == (1, 2)
        assert held_or_taken(server, payment) == ["requires_capture"]

    async def test_a_capture_without_an_answer_is_made_once(
        self, provider: StripePaymentProvider, impatient: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        authorised = await provider.authorise(payment)
        assert isinstance(authorised, Authorised)
        server.happens("capture", Trouble.LOST)
        with pytest.raises(ProviderTimeout):
            await impatient.capture(payment, gbp(1500))

        assert await provider.capture(payment, AMOUNT) == Captured(authorised.reference, gbp(1500))
        assert server.count("capture") == 1

    async def test_a_refund_without_an_answer_is_made_once_also_after_a_day(
        self, provider: StripePaymentProvider, impatient: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        known = await captured(provider, payment)
        server.happens("refund", Trouble.LOST)
        with pytest.raises(ProviderTimeout):
            await impatient.refund(known, "r1", gbp(500))
        server.forget_keys()

        refunded = await provider.refund(known, "r1", gbp(500))

        assert [refund["id"] for refund in server.books.refunds_of(str(known.reference))] == [
            refunded.reference if isinstance(refunded, Refunded) else None
        ]

    async def test_a_cancellation_without_an_answer_is_a_cancellation(
        self, provider: StripePaymentProvider, impatient: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        authorised = await provider.authorise(payment)
        assert isinstance(authorised, Authorised)
        server.happens("cancel", Trouble.LOST)
        with pytest.raises(ProviderTimeout):
            await impatient.cancel(payment)

        assert await provider.cancel(payment) == Cancelled(authorised.reference)


class TestTroubles:
    @pytest.mark.parametrize("trouble", [Trouble.FAILED, Trouble.BUSY])
    async def test_who_cannot_be_asked_now_is_unreachable(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment, trouble: Trouble
    ) -> None:
        server.happens("create", trouble)

        with pytest.raises(ProviderUnreachable):
            await provider.find(payment)

    @pytest.mark.parametrize(
        "trouble", [Trouble.UNAVAILABLE, Trouble.GATEWAY, Trouble.GATEWAY_JSON, Trouble.LOCKED, Trouble.IN_USE]
    )
    async def test_the_library_tries_again_within_a_bound(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment, trouble: Trouble
    ) -> None:
        server.happens("create", trouble)
        assert await provider.find(payment) is None
        assert server.count("create") == 2

        server.happens("create", *[trouble] * 3)
        with pytest.raises(ProviderUnreachable):
            await provider.find(payment)
        assert server.count("create") == 5

    async def test_nobody_is_followed_to_another_address(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        server.happens("create", Trouble.REDIRECT)

        with pytest.raises(ProviderMisbehaved):
            await provider.find(payment)

        assert server.count("create") == 1

    async def test_a_lock_while_it_is_confirmed_is_somebody_elses_work(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        server.happens("confirm", *[Trouble.LOCKED] * 3)

        assert isinstance(await provider.authorise(payment), Processing)
        assert await provider.find(payment) is None

    async def test_nobody_there_is_unreachable(self, payment: Payment) -> None:
        nowhere = f"http://127.0.0.1:{free_port()}"
        async with StripePaymentProvider(API_KEY, api_base=nowhere, timeout_seconds=5.0) as provider:
            with pytest.raises(ProviderUnreachable):
                await provider.authorise(payment)
            assert not await provider.is_ready()

    async def test_who_cannot_prove_to_be_stripe_is_told_nothing(self, payment: Payment, tmp_path: Path) -> None:
        heard: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(1))
            writer.close()

        impostor = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=self_signed(tmp_path))
        port = impostor.sockets[0].getsockname()[1]
        async with impostor, StripePaymentProvider(API_KEY, api_base=f"https://localhost:{port}") as provider:
            with pytest.raises(ProviderUnreachable, match="Certificate"):
                await provider.authorise(payment)

        assert b"".join(heard) == b""

    async def test_a_key_that_stripe_does_not_know_refuses_every_payment_and_is_told_to_nobody(
        self, server: StripeServer, payment: Payment, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        wrong = "sk_test_that_is_wrong"
        async with StripePaymentProvider(wrong, api_base=server.url, timeout_seconds=5.0) as provider:
            with pytest.raises(PaymentRefused) as refused:
                await provider.authorise(payment)
            with pytest.raises(ProviderMisbehaved) as misbehaved:
                await provider.cancel(payment)
            assert not await provider.is_ready()

        told = f"{refused.value!r} {misbehaved.value!r} {caplog.text}"
        assert "401" in told
        assert "sk_test" not in told

    async def test_secrets_of_payments_are_not_logged(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)

        await provider.authorise(payment)

        assert "_secret_" not in caplog.text
        assert API_KEY not in caplog.text
        assert "pm_card_visa" not in caplog.text

    async def test_the_reference_of_another_provider_is_not_silently_nothing(
        self, provider: StripePaymentProvider, payment: Payment
    ) -> None:
        with pytest.raises(ProviderMisbehaved):
            await provider.refund(replace(payment, reference="pay_1"), "r", AMOUNT)

    async def test_readiness_is_asked_once_in_a_while(
        self, provider: StripePaymentProvider, server: StripeServer
    ) -> None:
        assert all(await asyncio.gather(*(provider.is_ready() for _ in range(5))))
        assert server.count("list") == 1

    async def test_silence_does_not_make_it_ready(self, impatient: StripePaymentProvider, server: StripeServer) -> None:
        server.happens("list", Trouble.SILENT)

        assert not await impatient.is_ready()

    async def test_who_is_closed_is_not_asked(self, server: StripeServer, payment: Payment) -> None:
        provider = StripePaymentProvider(API_KEY, api_base=server.url)
        await provider.close()

        with pytest.raises(RuntimeError):
            await provider.find(payment)


def self_signed(folder: Path) -> ssl.SSLContext:
    """For `localhost`, by nobody whom anybody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem")
    return context
