from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from counterfoil.imports.beside import write_beside, write_rejected
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.progress import shown_on
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


def test_away_from_a_terminal_progress_is_plain_lines() -> None:
    output = io.StringIO()
    with shown_on(Console(file=output, width=40)) as progress:
        progress.begin("invoices", 2)
        progress.advance()
        progress.advance()
        progress.say("a line [with] brackets that is much longer than the console is wide")
    assert output.getvalue().splitlines() == [
        "invoices: 2 of 2",
        "a line [with] brackets that is much longer than the console is wide",
    ]


def test_on_a_terminal_it_is_a_bar() -> None:
    output = io.StringIO()
    with shown_on(Console(file=output, force_terminal=True, width=100)) as progress:
        progress.begin("invoices", 2)
        progress.advance(2)
    assert "invoices" in output.getvalue()
    assert "2/2" in output.getvalue()
