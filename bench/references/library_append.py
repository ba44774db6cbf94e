"""`eventsourcing` as it comes: aggregates saved by its application, from as many threads as there are clients."""

from __future__ import annotations

from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

from bench.apart import Begin
from bench.load import Pace, closed_loop_in_threads
from bench.ours import WAREHOUSE, a_cause


class Stock(Aggregate):
    """What an event says is what ours says."""

    @event("Received")
    def receive(
        self, sku: str, warehouse_id: str, quantity: int, actor: str, causation_id: str, correlation_id: str
    ) -> None:
        self.on_hand = quantity


def prepare(url: str) -> None:
    """The library makes its tables, but not the schema they are in."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA library")


def contend(begin: Begin, _number: int, url: str, clients_count: int, seconds: float) -> Pace:
    application: Application[UUID] = Application(env=environment(url))
    try:
        items = [Stock() for _ in range(clients_count)]
        application.save(*items)
        skus = [str(item.id)[-14:] for item in items]

        def receive(client: int) -> None:
            cause = a_cause()
            items[client].receive(skus[client], WAREHOUSE, 1, cause.actor, cause.causation_id, cause.correlation_id)
            application.save(items[client])

        begin()
        return closed_loop_in_threads(clients_count, receive, seconds)
    finally:
        application.close()


def environment(url: str) -> dict[str, str]:
    """Its own recorder with its own defaults, in a schema of its own."""
    info = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(info["dbname"]),
        "POSTGRES_HOST": str(info["host"]),
        "POSTGRES_PORT": str(info["port"]),
        "POSTGRES_USER": str(info["user"]),
        "POSTGRES_PASSWORD": str(info.get("password", "")),
        "POSTGRES_SCHEMA": "library",
    }
