from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.embedded.errors import CannotStartError
from counterfoil.settings import Settings


@pytest.mark.parametrize("damaged", ["{", "[]", '{"jwt_secret": 7}', "", "\x00"])
def test_secrets_that_are_damaged_are_said_to_be(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "secrets.json").write_text(damaged)
    with pytest.raises(CannotStartError, match="remove it"):
        Settings(var=tmp_path)
    assert (tmp_path / "secrets.json").read_text() == damaged


def test_secrets_are_made_once(tmp_path: Path) -> None:
    assert Settings(var=tmp_path) == Settings(var=tmp_path)
