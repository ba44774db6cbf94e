from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where an order goes. `country` is as the shopper gave it: a name or an ISO 3166 code."""

    name: str
    line1: str
    city: str
    postcode: str
    country: str
    line2: str | None = None
