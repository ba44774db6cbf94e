"""The names of the keys. A generation of views has a prefix of its own, so that the next can be built beside it."""

from __future__ import annotations

from dataclasses import dataclass

ROOT = "counterfoil"
FIRST_GENERATION = 1
# A hash: which generation of each view is live, kept or being built (projections/generations.py).
GENERATIONS = f"{ROOT}:generations"


@dataclass(frozen=True, slots=True)
class Keys:
    """`prefix` names the generation."""

    prefix: str = f"{ROOT}:{FIRST_GENERATION}"

    @classmethod
    def of(cls, generation: int) -> Keys:
        return cls(f"{ROOT}:{generation}")

    def checkpoint(self, projection: str) -> str:
        """A hash: partition -> position."""
        return f"{self.prefix}:checkpoint:{projection}"

    def product(self, sku: str) -> str:
        """A hash: `version`, `body` (JSON), `kind`."""
        return f"{self.prefix}:product:{sku}"

    def stock(self, sku: str) -> str:
        """A hash: `available` (of all warehouses), and `@<warehouse>` -> "version on_hand reserved"."""
        return f"{self.prefix}:stock:{sku}"

    def cart(self, cart_id: str) -> str:
        """A hash: `version`, `body` (JSON)."""
        return f"{self.prefix}:cart:{cart_id}"

    def order(self, order_id: str) -> str:
        """A hash: `version`, `body` (JSON), `owner`, `ledger` (JSON: what the body does not say)."""
        return f"{self.prefix}:order:{order_id}"

    def orders(self, owner: str) -> str:
        """A sorted set, all of one score: `<microseconds since 1970, 16 digits>:<order_id>` per order."""
        return f"{self.prefix}:orders:{owner}"

    def dead_letters(self, projection: str) -> str:
        """A list of JSON, newest first."""
        return f"{self.prefix}:dead-letters:{projection}"

    def set_aside(self, projection: str) -> str:
        """A hash: stream id -> the position of the event that could not be applied."""
        return f"{self.prefix}:set-aside:{projection}"

    def retries(self, projection: str) -> str:
        """A set: the streams set aside that somebody wants tried again."""
        return f"{self.prefix}:retries:{projection}"

    def offsets(self, projection: str) -> str:
        """A hash: partition -> the Kafka offset at which it goes on."""
        return f"{self.prefix}:offsets:{projection}"
