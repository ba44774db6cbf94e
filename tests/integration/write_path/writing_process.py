"""A process with a writer: python -m tests.integration.write_path.writing_process

One line of JSON in, one out. A line is a wave of commands, which it hands to its writer all at once; the answer has
what each was told, and how often the writer met a conflict. The database is DATABASE_URL. It ends with its input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass

import msgspec
from prometheus_client import CollectorRegistry

from commandside.event_store.postgres import PostgresEventStore
from commandside.metrics import WriterMetrics
from commandside.writer import Writer
from domain.errors import DomainError
from tests.integration.write_path.shelf_commands import ShelfCommand, Told


@dataclass(frozen=True)
class Answer:
    """`before` and `after` are the log's last positions around the wave."""

    told: list[Told]
    before: int
    after: int
    conflicts_count: int


async def main() -> None:
    store = PostgresEventStore(os.environ["DATABASE_URL"])
    registry = CollectorRegistry()
    writer = Writer(store, metrics=WriterMetrics(registry), conflict_attempts_limit_count=50)
    await writer.start()
    waves = msgspec.json.Decoder(list[ShelfCommand])
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        before = await store.last_position()
        told = await asyncio.gather(*[ask(writer, command) for command in waves.decode(line)])
        after = await store.last_position()
        conflicts = registry.get_sample_value("counterfoil_writer_conflicts_total")
        print(msgspec.json.encode(Answer(told, before, after, int(conflicts or 0))).decode(), flush=True)
    await writer.stop()
    store.close()


async def ask(writer: Writer, command: ShelfCommand) -> Told:
    try:
        return Told(command.name, (await writer.execute(command)).result, None)
    except DomainError as refusal:
        return Told(command.name, None, type(refusal).__name__)


if __name__ == "__main__":
    asyncio.run(main())
