"""What the codes of the file are in the catalogue."""

from __future__ import annotations

import re
from typing import Final, Literal

STOCK_CODE: Final = "stock_code"
"""The attribute that every product of the file has: the code there. Sums by it are the sums of the file."""

_GOODS: Final = re.compile(r"(?!gift_).*\d{4}", re.DOTALL)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]")


def kind(code: str) -> Literal["goods", "service"]:
    """Goods have a number of at least four digits. POST, M, D, C2, DOT, BANK CHARGES, vouchers … are services."""
    return "goods" if _GOODS.match(code) else "service"


def sku(code: str) -> str:
    """The code itself; what a SKU cannot hold stands there as ~ and two hexadecimal digits per byte."""
    plain = "".join(c if _PLAIN.fullmatch(c) else "".join(f"~{byte:02X}" for byte in c.encode()) for c in code)
    # A ~ that no two hexadecimal digits follow stands for nothing else: two codes never meet in one SKU.
    return plain if plain[0].isalnum() else f"x~{plain}"


def sku_at(code: str, price_minor: int) -> str:
    """The product that a code is sold as at a further price within one invoice."""
    return f"{sku(code)}.at-{price_minor // 100}.{price_minor % 100:02d}"


def category(code: str) -> tuple[str, ...]:
    return ("Gifts",) if kind(code) == "goods" else ("Services",)
