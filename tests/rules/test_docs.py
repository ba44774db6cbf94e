"""The documentation hangs together: no link leads nowhere, and every page can be found from the index."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from counterfoil.cli import app
from counterfoil.settings import Settings, variable
from tests.rules.sources import PROJECT, text_files

COMMAND = re.compile(r"\.venv/bin/python -m counterfoil (?P<name>[a-z][a-z-]*)")
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|#|mailto:)(?P<target>[^)#\s]+)[^)]*\)")

VARIABLE = re.compile(r"`((?:COUNTERFOIL_)?[A-Z][A-Z0-9_]+)`")


def variables_of_rows(page: str) -> set[str]:
    """What stands in the first column of the table under «Settings»."""
    section = page.partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in VARIABLE.findall(row.split("|")[1])}


def misspelt_commands(text: str) -> list[str]:
    """Commands of the program that are not written as the README has them, and those that its help does not list."""
    shown = [name for name, command in get_command(app).commands.items() if not command.hidden]  # type: ignore[attr-defined]
    hidden = [match["name"] for match in COMMAND.finditer(text) if match["name"] not in shown]
    elsewhere = COMMAND.sub("", text)
    return hidden + [match.group() for match in re.finditer(rf"\bcounterfoil (?:{'|'.join(shown)})\b", elsewhere)]


def broken_links(folder: Path, text: str) -> list[str]:
    targets = [match["target"] for match in LINK.finditer(text)]
    return [target for target in targets if not (folder / target).exists()]


def unlisted_pages(folder: Path) -> list[str]:
    """Pages beside an index.md that it does not name."""
    index = (folder / "index.md").read_text()
    listed = {match["target"] for match in LINK.finditer(index)}
    return sorted(page.name for page in folder.glob("*.md") if page.name not in {"index.md", *listed})


def test_no_link_leads_nowhere() -> None:
    pages = {path: text for path, text in text_files() if path.endswith(".md")}
    assert "README.md" in pages
    found = {path: links for path, text in pages.items() if (links := broken_links((PROJECT / path).parent, text))}
    assert found == {}


def test_every_page_is_in_its_index() -> None:
    assert unlisted_pages(PROJECT / "docs") == []
    assert unlisted_pages(PROJECT / "docs" / "adr") == []


def test_the_command_line_is_written_in_one_way_and_its_hidden_commands_nowhere() -> None:
    pages = {path: text for path, text in text_files() if path.endswith(".md")}
    assert {path: wrong for path, text in pages.items() if (wrong := misspelt_commands(text))} == {}


def test_another_spelling_and_a_hidden_command_are_found() -> None:
    run = ".venv/bin/python -m counterfoil"
    text = f"{run} up; {run} seed-demo; `counterfoil token --sub x`; a counterfoil is a stub; counterfoil/demo"
    assert misspelt_commands(text) == ["seed-demo", "counterfoil token"]


def test_every_folder_of_tests_is_in_the_table_of_its_page() -> None:
    page = (PROJECT / "docs" / "testing.md").read_text()
    folders = {path.relative_to(PROJECT / "tests").parts[0] for path in (PROJECT / "tests").rglob("test_*.py")}
    assert {folder for folder in folders if f"\n| `tests/{folder}/` |" not in page} == set()


def test_every_setting_has_its_row_and_every_row_its_setting() -> None:
    page = (PROJECT / "docs" / "running.md").read_text()
    assert variables_of_rows(page) == {variable(field) for field in Settings.model_fields}


def test_a_setting_that_is_only_mentioned_has_no_row() -> None:
    settings = "\n## Settings\n\n| `COUNTERFOIL_B`, `C_URL` | 1 | `COUNTERFOIL_D` |\n`COUNTERFOIL_E`\n"
    page = f"`COUNTERFOIL_A`\n{settings}\n## More\n\n| `F_G` | 1 | |\n"
    assert variables_of_rows(page) == {"COUNTERFOIL_B", "C_URL"}


def test_a_broken_link_and_an_unlisted_page_are_found(tmp_path: Path) -> None:
    (tmp_path / "here.md").write_text("")
    (tmp_path / "lost.md").write_text("")
    text = "[a](here.md#part) [b](gone.md) [c](https://example.org/x.md)"
    (tmp_path / "index.md").write_text(text)

    assert broken_links(tmp_path, text) == ["gone.md"]
    assert unlisted_pages(tmp_path) == ["lost.md"]
