"""The form in which events are stored: the same in every process that reads or writes the log."""

from __future__ import annotations

from commandside.event_store.mapper import EventMapper
from counterfoil.settings import Settings


def event_mapper(settings: Settings) -> EventMapper:
    """Raises ValueError for a cipher key that is none."""
    cipher = compressor = None
    if settings.event_cipher_key is not None:
        # Late: cryptography is large, and few shops encrypt.
        from eventsourcing.cryptography import AESCipher  # noqa: PLC0415
        from eventsourcing.utils import Environment  # noqa: PLC0415

        cipher = AESCipher(Environment(env={AESCipher.CIPHER_KEY: settings.event_cipher_key.get_secret_value()}))
    if settings.event_compression == "zlib":
        from eventsourcing.compressor import ZlibCompressor  # noqa: PLC0415

        compressor = ZlibCompressor()
    return EventMapper(compressor=compressor, cipher=cipher)
