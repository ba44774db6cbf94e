"""Empties the outbox: writes the letters and hands them to whoever delivers them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from projections.notifications.wording import owner, write
from projections.recorded import AnyEvent
from projections.view_projection import STREAM_PAGE_EVENTS, Streams
from streams.dead_letters import DeadLetter, DeadLetters
from streams.notifications.notifier import CustomerDirectory, Letter, Notifier, NotTaken, Refused, ServerAway
from streams.notifications.outbox import Notice, Outbox
from streams.patience import TRANSIENT

# What its dead letters are kept under.
NAME: Final = "mail"
AT_ONCE_LIMIT_LETTERS: Final = 4
ROUND_LIMIT_LETTERS: Final = 16
# Longer than a whole round can take, each of its letters as long as the mail server may.
CLAIM_SECONDS: Final = 120.0
ATTEMPTS_LIMIT_COUNT: Final = 10
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=15)
REASON_LIMIT_CHARACTERS: Final = 500
_log = structlog.get_logger(__name__)

_AWAY: Final[tuple[type[Exception], ...]] = (*TRANSIENT, ServerAway)
Outcome = Literal["sent", "nobody", "later", "given_up"]


class PostmanMetrics:
    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.letters = Counter(
            "counterfoil_notifications", "Letters by what became of them", ["outcome"], registry=registry
        )
        self.waiting = Gauge("counterfoil_notifications_waiting", "Letters that are to be sent", registry=registry)


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often it looks, and for how long it stays away when the mail server, or a store, is away."""

    interval_seconds: float = 0.5
    first_away_seconds: float = 1.0
    longest_away_seconds: float = 60.0


class Postman:
    """Any number may go round at once: a letter that one has taken is nobody else's for CLAIM_SECONDS.

    A letter is sent at least once, and twice only where a postman is killed between handing it over and striking it
    off: under one Message-ID, then. A letter that is not taken is tried ATTEMPTS_LIMIT_COUNT times, with growing
    pauses; while the server is away all wait, and that counts against none. What is refused, or cannot be sent within
    `history`, becomes a dead letter.
    """

    def __init__(
        self,
        outbox: Outbox,
        streams: Streams,
        directory: CustomerDirectory,
        notifier: Notifier,
        dead_letters: DeadLetters,
        metrics: PostmanMetrics,
        now: Callable[[], datetime],
        history: timedelta,
        rounds: Rounds = Rounds(),
    ) -> None:
        self.trouble: str | None = None
        self._outbox = outbox
        self._streams = streams
        self._directory = directory
        self._notifier = notifier
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._now = now
        self._history = history
        self._rounds = rounds

    async def run(self) -> None:
        """Until cancelled. Whatever is wrong, it stays away for a while, says so, and tries again."""
        pause_seconds = self._rounds.interval_seconds
        while True:
            try:
                taken_count = await self.go_round()
            except Exception as error:
                pause_seconds = min(
                    max(self._rounds.first_away_seconds, pause_seconds * 2), self._rounds.longest_away_seconds
                )
                if self.trouble is None or not isinstance(error, _AWAY):
                    _log.warning("letters_have_to_wait", error=str(error), exc_info=not isinstance(error, _AWAY))
                self.trouble = f"{type(error).__name__}: {error}"
                await asyncio.sleep(pause_seconds)
                continue
            pause_seconds = self._rounds.interval_seconds
            if taken_count and self.trouble is not None:
                self.trouble = None
                _log.info("letters_are_taken_again")
            await asyncio.sleep(0 if taken_count == ROUND_LIMIT_LETTERS else pause_seconds)

    async def go_round(self) -> int:
        """Tries what is due, and returns how many letters that were. Raises ServerAway, and the stores' errors."""
        await self._look_for_retries()
        self._metrics.waiting.set(await self._outbox.waiting_count())
        notices = await self._outbox.take(self._now(), CLAIM_SECONDS, ROUND_LIMIT_LETTERS)
        for begin in range(0, len(notices), AT_ONCE_LIMIT_LETTERS):
            some = notices[begin : begin + AT_ONCE_LIMIT_LETTERS]
            results = await asyncio.gather(*(self._see_to(notice) for notice in some), return_exceptions=True)
            away = [result for result in results if isinstance(result, BaseException)]
            if away:
                for notice in notices[begin + AT_ONCE_LIMIT_LETTERS :]:
                    await self._outbox.put_back(notice, self._now(), as_attempt=False)
                raise away[0]
        return len(notices)

    async def _see_to(self, notice: Notice) -> None:
        try:
            outcome = await self._try(notice)
        except ServerAway:
            await self._outbox.put_back(notice, self._now(), as_attempt=False)
            raise
        self._metrics.letters.labels(outcome).inc()

    async def _try(self, notice: Notice) -> Outcome:
        """Raises ServerAway, and the stores' errors."""
        stream = await self._read(notice)
        try:
            letter = await self._write(notice, stream)
        except TRANSIENT:
            raise
        except Exception as error:
            return await self._give_up(notice, stream, f"cannot be written: {error!r}")
        if letter is None:
            await self._outbox.done(notice)
            return "nobody"
        if self._now() - letter.written_at > self._history:
            return await self._give_up(notice, stream, "could not be sent for too long")
        try:
            await self._notifier.send(letter)
        except Refused as error:
            return await self._give_up(notice, stream, f"refused: {error}")
        except NotTaken as error:
            if notice.attempts_count + 1 >= ATTEMPTS_LIMIT_COUNT:
                return await self._give_up(notice, stream, f"not taken {ATTEMPTS_LIMIT_COUNT} times: {error}")
            pause = min(FIRST_PAUSE * 2**notice.attempts_count, LONGEST_PAUSE)
            await self._outbox.put_back(notice, self._now() + pause, as_attempt=True)
            return "later"
        await self._outbox.done(notice)
        return "sent"

    async def _write(self, notice: Notice, stream: Sequence[AnyEvent]) -> Letter | None:
        """None where there is nobody to write to."""
        if not stream or stream[-1].originator_version != notice.version:
            raise ValueError("its order is not in the log")
        address = await self._directory.address_of(owner(stream))
        if address is None:
            return None
        subject, body = write(stream)
        return Letter(f"{notice.order_id}.{notice.version}", address, subject, body, stream[-1].timestamp)

    async def _read(self, notice: Notice) -> list[AnyEvent]:
        """The order's stream up to the event that the letter is about."""
        stream: list[AnyEvent] = []
        while len(stream) < notice.version:
            limit = min(STREAM_PAGE_EVENTS, notice.version - len(stream))
            page = await self._streams.read_stream(notice.order_id, len(stream), limit)
            if not page:
                break
            stream += page
        return stream

    async def _give_up(self, notice: Notice, stream: Sequence[AnyEvent], reason: str) -> Outcome:
        topic = stream[-1].TOPIC if stream else "order"
        letter = DeadLetter(0, notice.order_id, notice.version, topic, reason[:REASON_LIMIT_CHARACTERS])
        await self._dead_letters.put(NAME, letter)
        # Other letters about the same order are sent all the same.
        await self._dead_letters.take_back(NAME, notice.order_id)
        await self._outbox.done(notice)
        _log.error("letter_given_up", letter=letter)
        return "given_up"

    async def _look_for_retries(self) -> None:
        """Puts the dead letters about an order back that somebody wants tried again."""
        for order_id in await self._dead_letters.retries_wanted(NAME):
            for letter in await self._dead_letters.letters(NAME):
                if letter.stream_id == order_id:
                    await self._outbox.put_back(Notice(order_id, letter.version), self._now(), as_attempt=False)
            await self._dead_letters.drop(NAME, order_id)
            await self._dead_letters.retry_done(NAME, order_id)
