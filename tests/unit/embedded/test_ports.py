"""The port that a server of the data folder had the last time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.embedded.ports import is_taken, remembered_port


def test_it_is_the_same_the_next_time(tmp_path: Path) -> None:
    assert remembered_port(tmp_path) == remembered_port(tmp_path)


@pytest.mark.parametrize(
    "found",
    [
        b"", b"{}", b"{", b"[]", b"null", b"5432", b"\xff\xfe\x00\x9c", b"[" * 100_000, b'{"port": null}',
        b'{"port": "5432"}', b'{"port": true}', b'{"port": 5432.5}', b'{"port": 0}', b'{"port": -1}',
        b'{"port": 80}', b'{"port": 65536}', b'{"port": 1e400}',
    ],
)  # fmt: skip
def test_one_that_cannot_be_read_is_made_anew(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "port.json").write_bytes(found)

    port = remembered_port(tmp_path)

    assert not is_taken("127.0.0.1", port)
    assert json.loads((tmp_path / "port.json").read_text()) == {"port": port}
    assert remembered_port(tmp_path) == port
