"""The log of events: Postgres for the shop, memory for unit tests, read in commit order by whoever follows it."""

from commandside.event_store.errors import NotStorable, OutcomeUnknown, StoreUnavailable, VersionConflict
from commandside.event_store.port import EventStore, Evolution

__all__ = ["EventStore", "Evolution", "NotStorable", "OutcomeUnknown", "StoreUnavailable", "VersionConflict"]
