"""A mail server in this process: what it took, and what it says to the next letters."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

from tests.fixtures.ports import free_port

HOST = "127.0.0.1"


class Mailbox(MessageHandler):
    """`answers` are given to the next letters in turn, "250 OK" to all after them; what is answered so is `taken`."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Message] = []
        self.answers: deque[str] = deque()  # bounded: a test's few
        self.refused_recipients: set[str] = set()
        self.slow_seconds = 0.0

    @property
    def subjects(self) -> list[str]:
        return [str(letter["Subject"]) for letter in self.taken]

    @property
    def keys(self) -> Counter[str]:
        """How often each letter came."""
        return Counter(str(letter["Message-ID"]) for letter in self.taken)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.refused_recipients:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.slow_seconds)
        answer = self.answers.popleft() if self.answers else "250 OK"
        if answer.startswith("2"):
            self.taken.append(self.prepare_message(session, envelope))
        return answer

    def handle_message(self, message: Message) -> None:
        raise NotImplementedError  # `handle_DATA` keeps them itself


@contextmanager
def mail_server(mailbox: Mailbox, port: int | None = None) -> Iterator[str]:
    """Its URL."""
    controller = Controller(mailbox, hostname=HOST, port=port or free_port())
    controller.start()
    try:
        yield f"smtp://{HOST}:{controller.port}"
    finally:
        controller.stop()
