"""`counterfoil import products` and `counterfoil seed-demo` as processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.demo.seeding import CATALOGUE
from counterfoil.embedded.errors import CannotStartError
from counterfoil.processes import seed_demo
from counterfoil.settings import Settings
from tests.integration.imports.command_line import CommandLine
from tests.integration.imports.reading import last_position

NO_PROVIDER = "http://127.0.0.1:1"  # a catalogue needs none


@pytest.fixture
def command_line(tmp_path: Path, database_url: str) -> CommandLine:
    return CommandLine(tmp_path / "var", database_url, NO_PROVIDER)


async def test_a_catalogue_comes_in_once(command_line: CommandLine, tmp_path: Path, database_url: str) -> None:
    rows = "".join(f"L-{number},Lamp {number},Home/Lamps,{number}.99,leeds,5\n" for number in range(1_000))
    path = tmp_path / "products.csv"
    path.write_text("sku,title,category,price,warehouse_id,quantity\n" + rows + "L-x,,Home,1,,\n", encoding="utf-8-sig")

    done = command_line.run("products", str(path))

    assert (done.returncode, done.stderr) == (0, "")
    assert "added       1000" in done.stdout
    rejected = tmp_path / "products.csv.rejected.csv"
    assert f"1 lines were rejected: see {rejected}" in done.stdout
    assert rejected.read_text().splitlines()[1].startswith("1002,title: String should have at least 1 character,")
    position = await last_position(database_url)
    assert "added       0" in command_line.run("products", str(path)).stdout
    assert await last_position(database_url) == position


def test_a_file_that_is_not_there_is_named(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line.run("products", str(tmp_path / "nothing.csv"))
    assert (done.returncode, done.stderr) == (
        1,
        f"{tmp_path / 'nothing.csv'} cannot be read: No such file or directory.\n",
    )


def test_the_demo_shop_is_seeded_into_an_empty_log_only(
    settings_of: Callable[..., Settings], database_url: str
) -> None:
    settings = settings_of(database_url=database_url)
    seed_demo.main(settings)
    position = asyncio.run(last_position(database_url))
    assert position > 60 * 3

    seed_demo.main(settings)

    assert asyncio.run(last_position(database_url)) == position


def test_the_catalogue_of_the_demo_is_a_file_for_the_import(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / CATALOGUE.name
    path.write_bytes(CATALOGUE.read_bytes())
    done = command_line.run("products", str(path))
    assert (done.returncode, "added       60" in done.stdout) == (0, True), done.stderr


def test_without_a_database_it_says_so(settings_of: Callable[..., Settings]) -> None:
    with pytest.raises(CannotStartError, match="There is no database"):
        seed_demo.main(settings_of())
    with pytest.raises(CannotStartError, match="The database does not answer"):
        seed_demo.main(settings_of(database_url="postgresql://postgres@127.0.0.1:1/x"))
