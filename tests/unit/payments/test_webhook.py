from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commandside.payments.webhook import BadSignature, BadWebhook, WebhookEvent, sign, verify
from domain.values import Money

SECRET = "a secret for tests"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "event_id": "evt_1",
    "type": "payment.authorised",
    "key": "k",
    "order_id": "o",
    "reference": "pay_1",
    "amount": {"amount": 1999, "currency": "GBP"},
    "created_at": "2026-03-01T11:59:59Z",
}


def signed(**changes: Any) -> tuple[bytes, str]:
    event = {name: value for name, value in (EVENT | changes).items() if value is not ...}
    body = json.dumps(event).encode()
    return body, sign(body, SECRET, NOW)


def test_what_is_rightly_signed_is_the_event() -> None:
    body, header = signed()

    assert verify(body, header, SECRET, NOW) == WebhookEvent(
        event_id="evt_1",
        type="payment.authorised",
        key="k",
        order_id="o",
        reference="pay_1",
        amount=Money(1999, "GBP"),
        created_at=datetime(2026, 3, 1, 11, 59, 59, tzinfo=UTC),
    )


def test_the_signature_is_the_one_that_the_page_describes() -> None:
    # printf '1767225600.{}' | openssl dgst -sha256 -hmac secret
    expected = "fa7eaa06bf97d7815f3f456e97cde70c9e50cb005f01660c8d10b10c21964887"

    assert sign(b"{}", "secret", datetime(2026, 1, 1, tzinfo=UTC)) == f"t=1767225600,v1={expected}"


def test_a_decline_has_its_reason() -> None:
    body, header = signed(type="payment.declined", reason="card_declined")

    assert verify(body, header, SECRET, NOW).reason == "card_declined"


def test_a_capture_says_how_much() -> None:
    body, header = signed(type="payment.captured", captured={"amount": 1200, "currency": "GBP"})

    assert verify(body, header, SECRET, NOW).captured == Money(1200, "GBP")


def test_a_field_of_later_times_is_let_pass() -> None:
    assert verify(*signed(livemode=False), SECRET, NOW).event_id == "evt_1"


def test_one_of_several_signatures_is_enough() -> None:
    body, header = signed()
    stamp, signature = header.split(",")

    assert verify(body, f"{stamp},v1={'0' * 64},{signature},v0=old", SECRET, NOW).event_id == "evt_1"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=1772366400",
        "v1=" + "0" * 64,
        "t=1772366400,v1=",
        "t=1772366400,v1=" + "0" * 64,
        "t=1772366400,v1=ü",
        "t=,v1=" + "0" * 64,
        "t=-1772366400,v1=" + "0" * 64,
        "t=1772366400,t=1772366400,v1=" + "0" * 64,
        "t=" + "9" * 500 + ",v1=" + "0" * 64,
        "t=1772366400," + ",".join(["v1=" + "0" * 64] * 100),
    ],
)
def test_a_bad_header_is_refused(header: str) -> None:
    with pytest.raises(BadSignature):
        verify(signed()[0], header, SECRET, NOW)


def test_another_secret_is_refused() -> None:
    body, header = signed()

    with pytest.raises(BadSignature):
        verify(body, header, "another secret", NOW)


@pytest.mark.parametrize("off", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_an_old_or_future_signature_is_refused(off: timedelta) -> None:
    body, header = signed()

    with pytest.raises(BadSignature):
        verify(body, header, SECRET, NOW + off)
    assert verify(body, header, SECRET, NOW + off, tolerance_seconds=301).event_id == "evt_1"


def test_a_time_that_was_not_signed_is_refused() -> None:
    body, header = signed()

    with pytest.raises(BadSignature):
        verify(body, header.replace("t=17", "t=18"), SECRET, datetime.fromtimestamp(1872366400, UTC))


@given(st.data())
def test_any_change_of_the_body_is_refused(data: st.DataObject) -> None:
    body, header = signed()
    position = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != body[position]))

    with pytest.raises(BadSignature):
        verify(body[:position] + bytes([byte]) + body[position + 1 :], header, SECRET, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": ...},
        {"event_id": ""},
        {"event_id": 7},
        {"type": "payment.lost"},
        {"type": "payment.charged"},
        {"type": "payment.declined"},
        {"type": "payment.captured"},
        {"type": "payment.captured", "captured": 1200},
        {"key": None},
        {"key": "k" * 201},
        {"order_id": ...},
        {"amount": 1999},
        {"amount": {"amount": 19.99, "currency": "GBP"}},
        {"created_at": "2026-03-01T11:59:59"},
        {"created_at": "yesterday"},
    ],
)
def test_what_is_signed_and_not_an_event_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadWebhook):
        verify(*signed(**changes), SECRET, NOW)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"event_id": "\xff"}', b'{"x": ' + b"[" * 100_000])
def test_what_is_signed_and_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        verify(body, sign(body, SECRET, NOW), SECRET, NOW)
