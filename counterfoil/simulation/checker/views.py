"""Read models: what is shown is what a replay shows, and what the log says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from counterfoil.simulation.checker.carts import CartBook
from counterfoil.simulation.checker.evidence import Evidence
from counterfoil.simulation.checker.orders import Order
from counterfoil.simulation.checker.stock import StockBook


def broken_views(evidence: Evidence, orders: Mapping[str, Order], stock: StockBook, carts: CartBook) -> Iterator[str]:
    for name, views in evidence.views.items():
        replayed = evidence.replayed_views[name]
        for stream in views.keys() | replayed.keys():
            if views.get(stream) != replayed.get(stream):
                yield f"{name} {stream} shows {views.get(stream)!r}, a replay {replayed.get(stream)!r}"
    decode = msgspec.json.decode
    for stream, view in evidence.views["stock"].items():
        shown, level = decode(view), stock.levels[stream]
        if (shown["on_hand"], shown["reserved"]) != (level.on_hand, level.reserved):
            yield f"stock {stream} shows {shown}, by the log it is {level}"
    for stream, view in evidence.views["cart"].items():
        lines = {line["product_id"]: line["quantity"] for line in decode(view)["lines"]}
        if lines != carts.lines[stream]:
            yield f"cart {stream} shows {lines}, by the log it is {carts.lines[stream]}"
    for stream, view in evidence.views["order"].items():
        shown = decode(view)["page"]
        if shown["status"] != orders[stream].status or shown["total"]["amount"] != orders[stream].total_minor:
            yield f"order {stream} shows {shown['status']}, by the log it is {orders[stream].status}"
        if shown["payment"]["status"] != orders[stream].payment_status:
            paid = orders[stream].payment_status
            yield f"order {stream} shows its payment {shown['payment']['status']}, by the log it is {paid}"
