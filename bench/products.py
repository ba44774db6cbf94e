"""A catalogue of any size, the same for the same seed: the events that make it, in batches as the log gives them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from domain.events import AnyEvent
from domain.events.product import ProductAdded, ProductRated
from domain.events.stock import StockOpened, StockReceived
from domain.identity import product_stream, stock_stream
from domain.values import Money, ProductDetails
from projections.recorded import Recorded


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NOUNS = _words(
    "lamp lantern table chair sofa shelf mirror clock vase candle cushion rug curtain basket tray bowl plate mug "
    "teapot kettle pan knife fork spoon jar bottle box bag purse wallet belt scarf hat glove sock shirt jacket coat "
    "dress skirt shoe boot sandal ring necklace bracelet watch phone charger cable speaker headphone keyboard mouse "
    "monitor camera tripod drone bicycle helmet tent rucksack torch rope ladder hammer drill saw screwdriver "
    "paint brush canvas notebook pen pencil ruler eraser stapler envelope puzzle doll train kite ball racket"
)
ADJECTIVES = _words(
    "red blue green black white grey small large vintage modern rustic classic folding portable waterproof wireless "
    "electric ceramic wooden metal glass leather cotton linen woollen silver golden striped "
    "spotted floral plain heavy light"
)
DEPARTMENTS = {
    "Home": ("Lamps", "Furniture", "Kitchen", "Decoration", "Textiles"),
    "Clothing": ("Women", "Men", "Children", "Shoes"),
    "Electronics": ("Audio", "Cameras", "Computers", "Phones"),
    "Garden": ("Tools", "Furniture", "Lighting"),
    "Sports": ("Cycling", "Camping", "Ball games"),
    "Toys": ("Puzzles", "Dolls", "Models"),
    "Stationery": ("Paper", "Pens", "Office"),
    "Jewellery": ("Rings", "Watches"),
}
_SYLLABLES = _words(
    "ba be bo da de do fa fi ga go ka ke ki la le lo ma mi mo na ne no pa pe po ra ri ro sa se ta te to va vi za"
)
_START = datetime(2024, 1, 1, tzinfo=UTC)


def recorded_catalogue(products_count: int, seed: int, batch_size_products: int = 1000) -> Iterator[list[Recorded]]:
    """Each product is added, rated in four cases of five, and stocked in none, one or two warehouses."""
    positions = count(1)
    for first in range(0, products_count, batch_size_products):
        batch: list[Recorded] = []
        for number in range(first, min(first + batch_size_products, products_count)):
            batch += (Recorded(next(positions), event) for event in _product(number, _chance(f"{seed}/{number}")))
        yield batch


def rare_word(number: int) -> str:
    """One of 20,000 made-up words of which a few products each have one."""
    chance = _chance(f"word/{number % 20_000}")
    return "".join(chance.choice(_SYLLABLES) for _ in range(4)) + chance.choice("lnrst")


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 -- a catalogue, not a secret


def _product(number: int, chance: random.Random) -> Iterator[AnyEvent]:
    sku = f"BENCH-{number:07d}"
    at = _START + timedelta(minutes=number)
    department = chance.choice(tuple(DEPARTMENTS))
    brand = f"{rare_word(int(chance.paretovariate(0.7)) % 1500).title()}"
    noun, adjectives = chance.choice(NOUNS), chance.sample(ADJECTIVES, 2)
    details = ProductDetails(
        title=f"{' '.join(adjectives)} {noun} {rare_word(number)}".capitalize(),
        category=(department, chance.choice(DEPARTMENTS[department])),
        description=" ".join(chance.choice(NOUNS + ADJECTIVES) for _ in range(25))
        if number % 8 == 0
        else f"A {chance.choice(ADJECTIVES)} {noun} for every day, made to last, {rare_word(number + 7)} and "
        f"{rare_word(number * 3)}. Comes in {chance.choice(ADJECTIVES)}, {chance.choice(ADJECTIVES)} and more.",
        brand=brand,
        attributes={"colour": chance.choice(ADJECTIVES), "weight_grams": chance.randrange(50, 20_000)},
        images=(f"https://images.example/{sku}/1.jpg", f"https://images.example/{sku}/2.jpg"),
    )
    price = Money(int(chance.lognormvariate(7.8, 1.1)) + 99, "GBP")
    stream = product_stream(sku)
    cause: dict[str, Any] = {"actor": "bench", "causation_id": "bench", "correlation_id": "bench", "timestamp": at}
    yield ProductAdded(
        originator_id=stream,
        originator_version=1,
        originator_topic="product",
        sku=sku,
        details=details,
        price=price,
        **cause,
    )
    if chance.random() < 0.8:
        rating = min(500, max(100, int(chance.gauss(400, 70))))
        reviews = int(chance.paretovariate(0.9))
        yield ProductRated(
            originator_id=stream, originator_version=2, sku=sku, rating_hundredths=rating, review_count=reviews, **cause
        )
    for warehouse_id in chance.sample(("LON", "MAN", "GLA"), chance.choice((0, 1, 1, 1, 2))):
        place: dict[str, Any] = {
            "originator_id": stock_stream(sku, warehouse_id),
            "sku": sku,
            "warehouse_id": warehouse_id,
            **cause,
        }
        yield StockOpened(originator_version=1, originator_topic="stock", **place)
        yield StockReceived(originator_version=2, quantity=chance.randrange(1, 60), **place)
