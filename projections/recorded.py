"""An event, and one with its place in the log: what projections are fed."""

from domain.events import AnyEvent, Recorded

__all__ = ["AnyEvent", "Recorded"]
