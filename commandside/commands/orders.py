"""`owner` None: whoever asks may see every order (an operator)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from commandside.commands.fields import Identifier, ItemField, Line, ShortLine, Strictly


class CancelOrder(Strictly):
    order_id: UUID
    owner: str | None
    reason: Line | None = None


class PackShipment(Strictly):
    order_id: UUID
    shipment_id: Identifier


class ShipShipment(Strictly):
    order_id: UUID
    shipment_id: Identifier
    carrier: ShortLine
    tracking_number: ShortLine


class DeliverShipment(Strictly):
    order_id: UUID
    shipment_id: Identifier


class RequestReturn(Strictly):
    order_id: UUID
    owner: str | None
    return_id: Identifier
    items: Annotated[tuple[ItemField, ...], Field(min_length=1, max_length=1_000)]
    reason: Line


class ReceiveReturn(Strictly):
    order_id: UUID
    return_id: Identifier
