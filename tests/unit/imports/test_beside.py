from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest

from counterfoil.imports.beside import write_beside, write_rejected
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.records import Rejected


def test_rejected_lines_stand_beside_the_input_with_number_and_reason(tmp_path: Path) -> None:
    said: list[str] = []
    path = write_rejected(tmp_path / "x.csv", [Rejected(7, "no CustomerID", '5,"a, b"')], said.append)
    assert path == tmp_path / "x.csv.rejected.csv"
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["line", "reason", "text"], ["7", "no CustomerID", '5,"a, b"']]
    assert said == [f"1 lines were rejected: see {path}"]


def test_with_nothing_rejected_the_file_of_an_earlier_run_is_gone(tmp_path: Path) -> None:
    (tmp_path / "x.csv.rejected.csv").write_text("old")
    said: list[str] = []
    assert write_rejected(tmp_path / "x.csv", [], said.append) is None
    assert list(tmp_path.iterdir()) == []
    assert said == []


def test_where_that_folder_cannot_be_written_another_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    said: list[str] = []
    path = write_rejected(tmp_path / "missing" / "x.csv", [Rejected(7, "bad", "text")], said.append)
    assert path == tmp_path / "here" / "x.csv.rejected.csv"
    assert path.exists()
    assert said == [f"1 lines were rejected: see {path} ({tmp_path / 'missing'} cannot be written)"]


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "x.csv.report.json").mkdir()  # no file can take this name
    monkeypatch.chdir(blocked)
    monkeypatch.setattr(tempfile, "tempdir", str(blocked))
    with pytest.raises(ImportStopped, match=r"Nowhere to write x\.csv\.report\.json"):
        write_beside(blocked / "x.csv", ".report.json", "{}")
