"""The adapter, against a real mail server's answers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams.notifications.notifier import Letter, NotTaken, Refused, ServerAway
from streams.notifications.smtp import SmtpNotifier
from tests.fixtures.ports import free_port
from tests.integration.notifications.mail_server import Mailbox

MAIL_FROM = "The Shop <orders@shop.example>"
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def letter(to: str = "ada@customers.example") -> Letter:
    return Letter("order-1.2", to, "Thank you, Ada × 2", "Dear Ada,\n\n" + "long " * 400 + "\n", AT)


async def test_a_letter_arrives_as_it_was_written(mailbox: Mailbox, smtp_url: str) -> None:
    await SmtpNotifier(smtp_url, MAIL_FROM).send(letter())
    (arrived,) = mailbox.taken
    assert (arrived["From"], arrived["To"]) == (MAIL_FROM, "ada@customers.example")
    assert arrived["Message-ID"] == "<order-1.2@shop.example>"
    assert arrived["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert arrived["Auto-Submitted"] == "auto-generated"
    body = arrived.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().splitlines() == letter().body.splitlines()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("450 later", NotTaken), ("451 local error", NotTaken), ("550 no", Refused), ("554 spam", Refused)],
)
async def test_what_the_server_says_of_a_letter(
    mailbox: Mailbox, smtp_url: str, answer: str, expected: type[Exception]
) -> None:
    mailbox.answers.append(answer)
    with pytest.raises(expected):
        await SmtpNotifier(smtp_url, MAIL_FROM).send(letter())
    assert mailbox.taken == []


async def test_a_mailbox_that_there_is_not(mailbox: Mailbox, smtp_url: str) -> None:
    mailbox.refused_recipients.add("nobody@customers.example")
    with pytest.raises(Refused, match="no such mailbox"):
        await SmtpNotifier(smtp_url, MAIL_FROM).send(letter("nobody@customers.example"))


async def test_a_server_that_is_away() -> None:
    with pytest.raises(ServerAway):
        await SmtpNotifier(f"smtp://127.0.0.1:{free_port()}", MAIL_FROM).send(letter())


async def test_a_server_that_does_not_answer_in_time(mailbox: Mailbox, smtp_url: str) -> None:
    mailbox.slow_seconds = 0.5
    with pytest.raises(ServerAway):
        await SmtpNotifier(smtp_url, MAIL_FROM, timeout_seconds=0.1).send(letter())


@pytest.mark.parametrize("url", ["http://mail.example", "smtp://", "mail.example", "smtp://mail.example/box"])
def test_what_is_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="smtp://"):
        SmtpNotifier(url, MAIL_FROM)
