"""The command line. Each command imports what it needs when it runs, so that every process stays as small as it can."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from counterfoil.settings import Settings

app = typer.Typer(
    name="counterfoil",
    help="An event-sourced commerce backend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

imports = typer.Typer(help="Bring a shop's past and its catalogue in from files.", no_args_is_help=True)
app.add_typer(imports, name="import")

_TTL_MAX_SECONDS = 366 * 24 * 3_600
InputFile = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@app.command()
def up(
    empty: Annotated[bool, typer.Option("--empty", help="Leave a new shop empty: no demo catalogue.")] = False,
) -> None:
    """Run the whole shop on this machine until Ctrl-C."""
    import asyncio

    from counterfoil.embedded.journal import Screen
    from counterfoil.embedded.shop import up as run_shop
    from counterfoil.part import load_settings, plain_errors

    with plain_errors():
        asyncio.run(run_shop(load_settings(), Screen(), empty=empty))


@app.command()
def token(
    sub: Annotated[str, typer.Option("--sub", help="The customer's id.")],
    role: Annotated[list[str] | None, typer.Option("--role", help="operator or auditor; may be repeated.")] = None,
    ttl_seconds: Annotated[int, typer.Option(min=1, max=_TTL_MAX_SECONDS, help="How long it is good for.")] = 86_400,
) -> None:
    """Print a bearer token for development, signed with the secret of the data folder."""
    import time

    import jwt

    from counterfoil.embedded.running import NotRunningError, find_running
    from counterfoil.part import load_settings, plain_errors

    with plain_errors():
        settings = load_settings()
        try:
            find_running(settings)
        except NotRunningError as error:
            # Good all the same, for the shop that is started on this folder later; in the wrong folder it is not.
            typer.echo(f"Note: {error}", err=True)
        now = int(time.time())
        claims = {"sub": sub, "roles": role or [], "iat": now, "exp": now + ttl_seconds}
        typer.echo(jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256"))


@app.command()
def migrate() -> None:
    """Bring the database's tables to this release."""
    _run_part("migrate")


@app.command("seed-demo", hidden=True)
def seed_demo() -> None:
    """Fill a shop whose log is empty with the demo catalogue."""
    _run_part("seed-demo")


@app.command("command-api", hidden=True)
def command_api() -> None:
    """Run the command API in the foreground."""
    _run_part("command-api")


@app.command("query-api", hidden=True)
def query_api() -> None:
    """Run the query API in the foreground."""
    _run_part("query-api")


@app.command("projector", hidden=True)
def projector() -> None:
    """Run the projector in the foreground."""
    _run_part("projector")


@app.command("provider", hidden=True)
def provider() -> None:
    """Run the built-in payment provider in the foreground."""
    _run_part("provider")


@imports.command("products")
def import_products(file: InputFile) -> None:
    """Take in a catalogue: CSV or JSON Lines. The same file again changes nothing."""
    from counterfoil.processes.import_products import main

    _run_import(main, file)


@imports.command("retail")
def import_retail(file: InputFile) -> None:
    """Take in a year of invoices, in the layout of the data set "Online Retail". Started again it goes on."""
    from counterfoil.processes.import_retail import main

    _run_import(main, file)


def _run_import(main: Callable[["Settings", Path], int], file: Path) -> None:
    from counterfoil.embedded.running import connected
    from counterfoil.logs import configure
    from counterfoil.part import load_settings, plain_errors

    with plain_errors():
        settings = load_settings()
        configure("import", "error")  # what the person at the keyboard is to know is said by the import itself
        raise typer.Exit(main(settings if settings.database_url else connected(settings), file))


def _run_part(name: str) -> None:
    from counterfoil.part import plain_errors, run

    with plain_errors():
        run(name)
