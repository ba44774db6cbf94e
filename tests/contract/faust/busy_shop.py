"""A log in which much happens at once, the same for the same seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from random import Random

from domain.aggregates import Cart, EventSourced, Order, Product, StockItem
from domain.errors import DomainError
from domain.events import AnyEvent
from domain.values import CartLine
from tests.integration.readside.shop import cart, cause, gbp, order, product, stock

SKUS = [f"sku-{number}" for number in range(40)]
STEPS_COUNT = 12


def events(seed: int) -> list[AnyEvent]:
    """The streams woven into each other; each stream in its own order."""
    random = Random(seed)  # noqa: S311 (the same every time)
    aggregates: list[EventSourced] = [product(sku) for sku in SKUS]
    aggregates += [stock(sku, 100, warehouse) for sku in SKUS for warehouse in ("north", "south")]
    aggregates += [cart(f"customer:{number}", random.choice(SKUS)) for number in range(60)]
    aggregates += [order(f"customer:{number % 20}", number + 1, random.choice(SKUS)) for number in range(60)]
    streams = {aggregate.id: list[AnyEvent]() for aggregate in aggregates}
    for aggregate in aggregates:
        for _ in range(random.randrange(STEPS_COUNT)):
            with suppress(DomainError):
                random.choice(_commands(aggregate, random))()
        streams[aggregate.id] = list(aggregate.collect_events())
    turns = [stream_id for stream_id, stream in streams.items() for _ in stream]
    random.shuffle(turns)
    taken: dict[object, int] = defaultdict(int)
    woven = []
    for stream_id in turns:
        woven.append(streams[stream_id][taken[stream_id]])
        taken[stream_id] += 1
    return woven


def _commands(aggregate: EventSourced, random: Random) -> list[Callable[[], object]]:
    match aggregate:
        case Product():
            return [
                lambda: aggregate.reprice(gbp(random.randrange(1, 5_000)), cause()),
                lambda: aggregate.rate(random.randrange(500), random.randrange(99), cause()),
                lambda: aggregate.deactivate(cause()),
                lambda: aggregate.activate(cause()),
            ]
        case StockItem():
            return [
                lambda: aggregate.receive(random.randrange(1, 9), cause()),
                lambda: aggregate.adjust(-1, "count", cause()),
                lambda: aggregate.reserve(f"r{random.randrange(3)}", 1, cause().at, cause()),
                lambda: aggregate.release(f"r{random.randrange(3)}", cause()),
                lambda: aggregate.commit(f"r{random.randrange(3)}", cause()),
            ]
        case Cart():
            sku = random.choice(SKUS)
            return [
                lambda: aggregate.add(CartLine(sku, f"The {sku}", 1, gbp(700)), cause()),
                lambda: aggregate.change_quantity(sku, random.randrange(1, 5), cause()),
                lambda: aggregate.clear(cause()),
            ]
        case Order():
            return [
                lambda: aggregate.pack("s1", cause()),
                lambda: aggregate.ship("s1", "post", "T1", cause()),
                lambda: aggregate.deliver("s1", cause()),
                lambda: aggregate.cancel(None, cause()),
            ]
        case _:
            raise TypeError(aggregate)
