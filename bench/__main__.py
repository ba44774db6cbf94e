"""`python -m bench NAME`: each benchmark takes us and its references round by round, on one server, in one run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bench.report import Report
from bench.server import server

NAMES: Final = ("append", "hot-sku", "checkout", "rehydrate", "replay", "rebuild", "project", "lag")

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_show_locals=False)

Seconds = Annotated[float, typer.Option(min=0.1, max=60, help="How long each contender is measured, each round.")]
Rounds = Annotated[int, typer.Option(min=1, max=20)]
JsonFile = Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Where ratios, figures and counts go.")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="A Postgres where databases may be made; one is started by itself when not given.")
]


def run(names: tuple[str, ...], seconds: float, rounds_count: int, json: Path | None, database_url: str | None) -> None:
    """Raises CannotStartError, ContenderFailed, WrongAnswer."""
    report, console = Report(), Console()
    with server(database_url) as url:
        for name in names:
            console.print(f"{name}: {rounds_count} rounds, {seconds:g} s each …")
            import_module(f"bench.{name.replace('-', '_')}").run(report, url, seconds, rounds_count)
    report.show(console)
    if json is not None:
        report.write(json)


def _add(command_name: str, names: tuple[str, ...], text: str) -> None:
    @app.command(command_name, help=text)
    def benchmark(
        seconds: Seconds = 3.0, rounds: Rounds = 3, json: JsonFile = None, database_url: DatabaseUrl = None
    ) -> None:
        run(names, seconds, rounds, json, database_url)


for _name in NAMES:
    _add(_name, (_name,), (import_module(f"bench.{_name.replace('-', '_')}").__doc__ or "").partition("\n")[0])
_add("all", NAMES, "All of them, one after the other.")

if __name__ == "__main__":
    app()
