"""The settings of a shop whose events are compressed and encrypted."""

SEALED = {"event_compression": "zlib", "event_cipher_key": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="}
