"""Letters by e-mail."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib

from streams.notifications.notifier import Letter, NotTaken, Refused, ServerAway

SEND_TIMEOUT_SECONDS: Final = 20.0
_PORTS: Final = {"smtp": 25, "smtps": 465}
_PERMANENT: Final = range(500, 600)


class SmtpNotifier:
    """`url` is `smtp://[user:password@]host[:port]`, encrypted where the server offers it, or `smtps://…`, always.

    A letter's key is its Message-ID: a server or reader that meets it twice can tell.
    """

    def __init__(self, url: str, mail_from: str, *, timeout_seconds: float = SEND_TIMEOUT_SECONDS) -> None:
        """Raises ValueError for what is no such URL, or no address."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("a mail server is given as smtp://[user:password@]host[:port], or smtps://")
        self._domain = parseaddr(mail_from)[1].rpartition("@")[2]
        if not self._domain:
            raise ValueError(f"{mail_from!r} has no e-mail address")
        self._mail_from = mail_from
        self._timeout_seconds = timeout_seconds
        self._hostname = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._use_tls = parts.scheme == "smtps"
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send(self, letter: Letter) -> None:
        message = self.message(letter)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await aiosmtplib.send(
                    message,
                    hostname=self._hostname,
                    port=self._port,
                    use_tls=self._use_tls,
                    username=self._username,
                    password=self._password,
                    timeout=self._timeout_seconds,
                )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            raise _about_the_letter(refused.recipients[0].code, str(refused.recipients[0])) from refused
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPHeloError) as error:
            raise ServerAway(f"the mail server does not take letters from here: {error}") from error
        except aiosmtplib.SMTPDataError as refused:
            raise _about_the_letter(refused.code, str(refused)) from refused
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise ServerAway(f"the mail server does not answer: {error!r}") from error

    def message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self._mail_from
        message["To"] = letter.to
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(letter.written_at)
        message["Message-ID"] = f"<{letter.key}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.body, cte="quoted-printable")
        return message


def _about_the_letter(code: int, said: str) -> Exception:
    return Refused(said) if code in _PERMANENT else NotTaken(said)
