"""The command line. Each command imports what it needs when it runs, so that every process stays as small as it can."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from counterfoil.settings import Settings
    from projections.generations import ViewName

app = typer.Typer(
    name="counterfoil",
    help="An event-sourced commerce backend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

imports = typer.Typer(help="Bring a shop's past and its catalogue in from files.", no_args_is_help=True)
app.add_typer(imports, name="import")
letters = typer.Typer(help="Events that could not be applied to a view.", no_args_is_help=True)
app.add_typer(letters, name="dead-letters")

_PARTS = "One part alone, on servers that run"
_TTL_MAX_SECONDS = 366 * 24 * 3_600
_SIMULATED_DAYS_MAX = 366
ProjectionName = Annotated[str, typer.Argument(metavar="PROJECTION", show_default=False)]
StreamId = Annotated[UUID, typer.Argument(metavar="STREAM", show_default=False)]
InputFile = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@app.command()
def up(
    empty: Annotated[
        bool, typer.Option("--empty", help="Leave a new shop empty, for good: no demo catalogue.")
    ] = False,
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

    from counterfoil.embedded.errors import CannotStartError
    from counterfoil.embedded.running import NotRunningError, find_running
    from counterfoil.part import load_signing, plain_errors

    with plain_errors():
        signing = load_signing()
        if signing.jwt_secret is None:
            raise CannotStartError(
                f"There is no secret to sign with in {signing.var.absolute()}. Start the shop there (`make up`), run "
                "this where its data folder is, or name that folder with COUNTERFOIL_VAR; or give the secret that it "
                "was started with, COUNTERFOIL_JWT_SECRET."
            )
        try:
            find_running(signing)
        except NotRunningError as error:
            # Good all the same, for the shop that is started on this folder later; in the wrong folder it is not.
            typer.echo(f"Note: {error}", err=True)
        now = int(time.time())
        claims = {"sub": sub, "roles": role or [], "iat": now, "exp": now + ttl_seconds}
        typer.echo(jwt.encode(claims, signing.jwt_secret.get_secret_value(), algorithm="HS256"))


@app.command()
def migrate() -> None:
    """Bring the database's tables to this release."""
    _run_part("migrate")


@app.command("seed-demo", hidden=True)
def seed_demo() -> None:
    """Fill a shop whose log is empty with the demo catalogue."""
    _run_part("seed-demo")


@app.command("command-api", rich_help_panel=_PARTS)
def command_api() -> None:
    """Run the command API in the foreground."""
    _run_part("command-api")


@app.command("query-api", rich_help_panel=_PARTS)
def query_api() -> None:
    """Run the query API in the foreground."""
    _run_part("query-api")


@app.command("projector", rich_help_panel=_PARTS)
def projector() -> None:
    """Run the projector in the foreground."""
    _run_part("projector")


@app.command("relay", rich_help_panel=_PARTS)
def relay() -> None:
    """Run the relay to Kafka in the foreground."""
    _run_part("relay")


@app.command("worker", rich_help_panel=_PARTS)
def worker() -> None:
    """Run a worker on Kafka in the foreground."""
    _run_part("worker")


@app.command("provider", rich_help_panel=_PARTS)
def provider() -> None:
    """Run the built-in payment provider in the foreground."""
    _run_part("provider")


@app.command()
def rebuild(
    view: Annotated[str, typer.Argument(help="product, stock, cart, order or search.", show_default=False)],
    back: Annotated[bool, typer.Option("--back", help="Return to the generation that was kept.")] = False,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Remove all but the live generation.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Remove what an unfinished rebuild has built.")] = False,
    seed: Annotated[int, typer.Option(help="Of the sample that is checked before the swap.")] = 1,
) -> None:
    """Build a view again from the log beside the live one, check it, and swap it in. Started again it goes on."""
    from counterfoil.embedded.errors import CannotStartError
    from counterfoil.processes import rebuild_search
    from counterfoil.processes.rebuild import Action, main

    actions: dict[Action, bool] = {"back": back, "drop_old": drop_old, "abandon": abandon}
    chosen = [action for action, wanted in actions.items() if wanted]

    def run(settings: "Settings") -> int:
        if len(chosen) > 1:
            raise CannotStartError("One of --back, --drop-old and --abandon at a time.")
        action = chosen[0] if chosen else "run"
        if view == rebuild_search.NAME:
            return rebuild_search.rebuild(settings, action)
        return main(settings, _view(view), action, seed)

    _run_tool("rebuild", run)


@app.command()
def verify(
    view: Annotated[str, typer.Argument(help="product, stock, cart, order or search.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Compare a live view with the log, all of it, and say exactly what differs. Ends with 1 when anything does."""
    from counterfoil.processes import rebuild_search
    from counterfoil.processes.verify import main

    def run(settings: "Settings") -> int:
        if view == rebuild_search.NAME:
            return rebuild_search.verify(settings, as_json=json)
        return main(settings, _view(view), as_json=json)

    _run_tool("verify", run)


@app.command()
def status(json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show how far each consumer of the log is, and which part does not answer. Ends with 1 when one does not."""
    from counterfoil.processes.status import main

    _run_tool("status", lambda settings: main(settings, as_json=json))


@app.command()
def doctor(json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List everything that is older than it may be, and what to do about it. Changes nothing.

    Ends with 0 when there is nothing, with 1 when there is something, with 2 when it could not look.
    """
    from counterfoil.logs import configure
    from counterfoil.processes.doctor import main

    configure("doctor", "error")  # what the person at the keyboard is to know is said by the tool itself
    raise typer.Exit(main(as_json=json))


@app.command()
def simulate(
    seed: Annotated[int, typer.Option("--seed", min=0, help="What everything is drawn from.")] = 1,
    days: Annotated[int, typer.Option("--days", min=1, max=_SIMULATED_DAYS_MAX, help="Days of virtual time.")] = 1,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="So many seeds, from --seed on.")] = 1,
    processes: Annotated[int, typer.Option("--processes", min=1, max=64, help="For --seeds.")] = 2,
    show: Annotated[
        bool, typer.Option("--show", help="Tell the whole history, also when every promise is kept.")
    ] = False,
) -> None:
    """Run the checkout in virtual time, under every fault we can name, and check every promise. Needs no servers.

    Ends with 1 when one is not kept, and tells the smallest history in which it is not.
    """
    from counterfoil.simulation.simulate import main

    raise typer.Exit(main(range(seed, seed + seeds), days, processes, show))


@letters.command("list")
def list_letters(
    projection: Annotated[str | None, typer.Option("--projection", help="Only those of this one.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show them, newest first: which event, why, and whether its stream is still set aside."""
    from counterfoil.processes.dead_letters import show

    _run_tool("dead-letters", lambda settings: show(settings, projection, as_json=json) and 0)


@letters.command("retry")
def retry_letters(projection: ProjectionName, stream: StreamId) -> None:
    """Have the stream tried again by whoever feeds the view. Ends with 1 when it still cannot be applied."""
    from counterfoil.processes.dead_letters import try_again

    _run_tool("dead-letters", lambda settings: 0 if try_again(settings, projection, stream) else 1)


@letters.command("drop")
def drop_letters(projection: ProjectionName, stream: StreamId) -> None:
    """Remove the letters of the stream; its view stays as it is until it can be applied."""
    from counterfoil.processes.dead_letters import drop

    _run_tool("dead-letters", lambda settings: drop(settings, projection, stream) and 0)


def _view(name: str) -> "ViewName":
    from counterfoil.embedded.errors import CannotStartError
    from projections.generations import VIEW_NAMES

    for view in VIEW_NAMES:
        if view == name:
            return view
    raise CannotStartError(f"There is no view {name!r}: it is one of {', '.join(VIEW_NAMES)} and search.")


def _run_tool(name: str, main: Callable[["Settings"], int]) -> None:
    from counterfoil.embedded.running import connected
    from counterfoil.logs import configure
    from counterfoil.part import load_settings, plain_errors

    with plain_errors():
        settings = connected(load_settings())
        configure(name, "error")  # what the person at the keyboard is to know is said by the tool itself
        raise typer.Exit(main(settings))


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
