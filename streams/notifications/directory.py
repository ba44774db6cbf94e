"""Finds a customer's address by a rule."""

from __future__ import annotations

from email.errors import MessageError
from email.headerregistry import Address
from typing import Final

_CUSTOMER: Final = "customer:"
_ADDRESS_LIMIT_CHARACTERS: Final = 254
PLACEHOLDER: Final = "{customer_id}"


class TemplateDirectory:
    """`template` is an address with `{customer_id}` in it, or that alone where customers' ids are addresses.

    Whoever becomes no sound address that way is not written to; and no guest is.
    """

    def __init__(self, template: str) -> None:
        """Raises ValueError for a template that no id makes an address of."""
        self._template = template
        makes_addresses = template == PLACEHOLDER or _sound(template.replace(PLACEHOLDER, "a")) is not None
        if PLACEHOLDER not in template or not makes_addresses:
            raise ValueError(f"{template!r} makes no address: it has to be one with {PLACEHOLDER} in it")

    async def address_of(self, owner: str) -> str | None:
        if not owner.startswith(_CUSTOMER):
            return None
        return _sound(self._template.replace(PLACEHOLDER, owner.removeprefix(_CUSTOMER)))


def _sound(address: str) -> str | None:
    """The address, where it is a plain one: nothing quoted, no list, no comment, no line's end."""
    if len(address) > _ADDRESS_LIMIT_CHARACTERS or not address.isascii() or not address.isprintable():
        return None
    try:
        parsed = Address(addr_spec=address)
    except (MessageError, ValueError, IndexError):
        return None
    plain = f"{parsed.username}@{parsed.domain}"
    return address if plain == address and parsed.username and parsed.domain and " " not in address else None
