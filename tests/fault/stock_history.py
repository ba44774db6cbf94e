"""From what clients wrote down to the history of one SKU: what happened when at the latest, and at the earliest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.fault.asking import Told
from tests.fault.linearizability import NotLinearizable, Operation, TooManyStates, ensure_linearizable
from tests.fault.records import Purchase, Records, Request
from tests.fault.stock_model import (
    CountRefused,
    Effect,
    Figures,
    GivenBack,
    Looked,
    Offered,
    Received,
    Refused,
    Reserved,
    Restocked,
    Sold,
    Stock,
    step,
    too_late,
)

Did = Operation[Effect]


def history_of(sku: str, records: Records) -> list[Did]:
    """In the order of the calls."""
    found = [did for request in records.requests if request.sku == sku for did in _of_request(request)]
    for purchase in records.purchases:
        if sku in purchase.items:
            found += _Checkout(purchase, sku).operations()
    return sorted(found, key=lambda did: did.called)


def ensure_explained(sku: str, records: Records) -> int:
    """Returns how many operations there were.

    Raises AssertionError with the history, and what is wrong with it; TooManyStates with the history.
    """
    history = history_of(sku, records)
    try:
        ensure_linearizable(history, Stock(), step, too_late=too_late)
    except TooManyStates as error:
        error.add_note("\n".join([f"{sku}:", *(_line(did, history[0].called) for did in history)]))
        raise
    except NotLinearizable as error:
        raise AssertionError(f"{sku}: {error}\n{readable(history, error)}") from error
    return len(history)


def readable(history: list[Did], error: NotLinearizable) -> str:
    """All that could be put in order, as it was put; then what could not come next, and what was left."""
    start = history[0].called if history else 0.0
    stock: Stock | None = Stock()
    lines = ["  called  answered"]
    for place in error.longest:
        assert stock is not None
        stock = step(stock, history[place].what)
        lines.append(f"{_line(history[place], start)} -> {stock and stock[:4]}")
    lines += [f"{_line(history[place], start)} CANNOT COME NEXT" for place in error.stuck]
    left = set(range(len(history))) - set(error.longest) - set(error.stuck)
    lines += [f"{_line(history[place], start)} left" for place in sorted(left)]
    return "\n".join(lines)


def _line(did: Did, start: float) -> str:
    returned = "   never" if did.returned is None else f"{did.returned - start:8.3f}"
    return f"{did.called - start:8.3f} {returned}  {did.what}"


def _of_request(request: Request) -> Iterator[Did]:
    """Nothing, where the answer says nothing of this stock, or there was none to a question."""
    told, body = request.told, request.told.body
    match request.kind, told.status:
        case "add", 200:
            quantity = next(line["quantity"] for line in body["items"] if line["product_id"] == request.sku)
            yield Operation(Offered(quantity), told.called, told.returned)
        case "add", 409:
            yield Operation(Refused(body["requested"], body["available"]), told.called, told.returned)
        case (("receive" | "count"), 200):
            assert body["available"] == body["on_hand"] - body["reserved"]
            figures = Figures(body["on_hand"], body["reserved"], told.version)
            yield Operation(Received(request.quantity, figures), told.called, told.returned)
        case "count", 409:
            refused = CountRefused(request.quantity, body["on_hand"], body["reserved"])
            yield Operation(refused, told.called, told.returned)
        case (("receive" | "count"), _):
            yield Operation(Received(request.quantity), told.called, None)
        case "look", 200:
            state = body["state"]
            looked = Looked(state["on_hand"], state["reserved"], state["committed"], body["version"])
            yield Operation(looked, told.called, told.returned)
        case "look", 404:
            yield Operation(Looked(0, 0, 0, 0), told.called, told.returned)


@dataclass(frozen=True, slots=True)
class _Checkout:
    """What one purchase did to one SKU. It held its units, and then sold them or gave them back; each at a moment of
    which its client knows the bounds: who was told `in-progress` knows that it had begun by then, and not yet ended.
    """

    purchase: Purchase
    sku: str

    def operations(self) -> list[Did]:
        answer, outcome = self.purchase.answer, self.purchase.outcome
        if outcome == "refused":
            return self._refused()
        reserved = Reserved(self.purchase.key, self._quantity)
        sold, given_back = Sold(self.purchase.key, self._quantity), GivenBack(self.purchase.key, self._quantity)
        restocked = Restocked(self.purchase.key, self._quantity)
        begun: Did = Operation(reserved, self._called, self._begun_by)
        ended_by = answer.returned if answer is not None and answer.status in (201, 402) else None
        match outcome:
            case "placed":
                ended_by = ended_by or self.purchase.followed[-1].returned
                return [begun, Operation(sold, self._open_at, ended_by)]
            case "failed":
                ended_by = ended_by or self.purchase.followed[-1].returned
                return [begun, Operation(given_back, self._open_at, ended_by)]
            case "cancelled":
                cancelled_by, history = (
                    self.purchase.cancelled[-1].returned,
                    self.purchase.cancelled[-1].body["history"],
                )
                if not any(entry["status"] == "placed" for entry in history):
                    return [begun, Operation(given_back, self._open_at, cancelled_by)]
                back: Did = Operation(restocked, self.purchase.cancelled[0].called, cancelled_by)
                return [begun, Operation(sold, self._open_at, ended_by or cancelled_by), back]
            case _:
                maybe: list[Effect] = [sold, given_back, *([restocked] if self.purchase.cancelled else [])]
                return [begun, *(Operation(what, self._open_at, None) for what in maybe)]

    def _refused(self) -> list[Did]:
        answer = self.purchase.answer
        assert answer is not None
        if answer.body["product_id"] != self.sku:
            return []  # it was for the other SKU's sake
        assert answer.body["requested"] == self._quantity, (
            f"{self.purchase.key} asked for {self._quantity}: {answer.body}"
        )
        return [Operation(Refused(self._quantity, answer.body["available"]), self._called, answer.returned)]

    @property
    def _quantity(self) -> int:
        return self.purchase.items[self.sku]

    @property
    def _called(self) -> float:
        """An answer that is not a repeat is that of the request that began it: those before it had no effect."""
        answer = self.purchase.answer
        first = (
            answer if answer is not None and not answer.replayed and not self._interrupted else self.purchase.asked[0]
        )
        return first.called

    @property
    def _begun_by(self) -> float | None:
        return next((told.returned for told in self.purchase.asked if _says_begun(told)), None)

    @property
    def _open_at(self) -> float:
        """The latest moment at which it was known to be under way; of its first call where it never was."""
        still = [*self._interrupted, *(told.called for told in self.purchase.followed if _says_pending(told))]
        return max(still, default=self._called)

    @property
    def _interrupted(self) -> list[float]:
        return [told.called for told in self.purchase.asked if told.problem == "in-progress"]


def _says_begun(told: Told) -> bool:
    return told.status in (201, 202, 402) or told.problem == "in-progress"


def _says_pending(told: Told) -> bool:
    return told.status == 200 and bool(told.body["state"]["standing"] == "pending_payment")
