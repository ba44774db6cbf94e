"""What one run's clients asked and were told, each request in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.fault.asking import Told

# What each kind of request may be answered with when all is well; after 503 and no answer at all, nobody knows.
EXPECTED: Mapping[str, tuple[str, ...]] = {
    "add": ("200", "409 insufficient-stock"),
    "receive": ("200",),
    "count": ("200", "409 below-reserved"),
    "look": ("200", "404 not-found"),
    "check out": ("201", "202", "402 payment-declined", "409 insufficient-stock", "409 in-progress"),
    "follow": ("200",),
    "cancel": ("200", "409 invalid-transition"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is not asked again: units put into a cart (`add`), received, counted, or looked at."""

    kind: str
    who: str
    sku: str
    quantity: int
    told: Told


@dataclass(slots=True)
class Purchase:
    """One key's checkout: asked until it is answered, then followed until the order is placed or failed."""

    who: str
    key: str
    items: Mapping[str, int]
    token: str
    asked: list[Told] = field(default_factory=list)
    followed: list[Told] = field(default_factory=list)
    cancelled: list[Told] = field(default_factory=list)

    @property
    def answer(self) -> Told | None:
        """The first that the key was answered with, once and for all."""
        return next((told for told in self.asked if told.is_known), None)

    @property
    def order_id(self) -> str | None:
        answer = self.answer
        return str(answer.body["order_id"]) if answer is not None and answer.status in (201, 202) else None

    @property
    def outcome(self) -> str:
        """`placed`, `failed`, `cancelled`, `refused`; empty while its client does not know."""
        answer = self.answer
        if self.cancelled and self.cancelled[-1].status == 200:
            return "cancelled"
        if answer is None:
            return ""
        if answer.status != 202:
            return {201: "placed", 402: "failed"}.get(answer.status, "refused")
        status = (
            self.followed[-1].body["state"]["standing"] if self.followed and self.followed[-1].status == 200 else ""
        )
        return {"placed": "placed", "payment_failed": "failed"}.get(status, "")


@dataclass
class Records:
    """`skus` are this run's own: nobody else sells or counts them."""

    skus: tuple[str, ...]
    requests: list[Request] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)

    def all_told(self) -> Iterator[tuple[str, Told]]:
        for request in self.requests:
            yield request.kind, request.told
        for purchase in self.purchases:
            for kind, found in (
                ("check out", purchase.asked),
                ("follow", purchase.followed),
                ("cancel", purchase.cancelled),
            ):
                for told in found:
                    yield kind, told

    def ensure_answered(self) -> None:
        """Raises AssertionError for a key without an answer, one with two, and for what nobody should be told."""
        for kind, told in self.all_told():
            said = f"{told.status} {told.problem}".strip()
            assert told.status in (0, 503) or said in EXPECTED[kind], f"{kind} was answered {said}: {told.body}"
        for purchase in self.purchases:
            answer = purchase.answer
            assert answer is not None, f"{purchase.key} was never answered: {[str(told) for told in purchase.asked]}"
            assert purchase.outcome, f"{purchase.key} was never told how it ended: {answer}"
            for told in purchase.asked[purchase.asked.index(answer) + 1 :]:
                same = (told.status, told.body) == (answer.status, answer.body)
                assert same or (not told.is_known and told.problem != "in-progress"), (
                    f"{purchase.key} was told {answer.body}, and then {told.status} {told.body}"
                )
