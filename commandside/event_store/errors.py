from __future__ import annotations


class VersionConflict(Exception):
    """Another process wrote one of these streams: nothing was appended."""


class NotStorable(Exception):
    """An event cannot be put into its stored form: nothing was appended."""


class StoreUnavailable(Exception):
    """The store did not answer. Whether an append was made is not known; its events tell when it is back."""
