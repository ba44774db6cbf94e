"""The Kafka topics that events go to, and which kinds of stream go to each."""

from __future__ import annotations

from typing import Final

TOPIC_OF_KIND: Final = {
    "product": "catalog-events",
    "stock": "inventory-events",
    "stock_locations": "inventory-events",
    "cart": "cart-events",
    "order": "order-events",
    "checkout": "checkout-events",
    "allowance": "checkout-events",
}
TOPICS: Final = tuple(dict.fromkeys(TOPIC_OF_KIND.values()))
# What a client was told under its Idempotency-Key is nobody else's business.
KEPT_IN_THE_LOG: Final = frozenset({"receipt"})


def kind_of(event_type: str) -> str:
    """`order` of `order.placed.v1`."""
    return event_type.partition(".")[0]


def kafka_topic(event_type: str) -> str | None:
    """Where events of this type go (`order-events` for `order.placed.v1`); None for those that stay in the log.

    Raises KeyError for a kind that was never given a topic.
    """
    kind = kind_of(event_type)
    return None if kind in KEPT_IN_THE_LOG else TOPIC_OF_KIND[kind]
