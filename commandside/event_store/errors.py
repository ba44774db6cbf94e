from __future__ import annotations


class VersionConflict(Exception):
    """Another process wrote one of these streams: nothing was appended."""


class NotStorable(Exception):
    """An event cannot be put into its stored form: nothing was appended."""


class StoreUnavailable(Exception):
    """The store did not answer. Nothing was appended, unless it is an OutcomeUnknown."""


class OutcomeUnknown(StoreUnavailable):
    """The store was given an append and did not say what came of it; its events tell when it is back."""
