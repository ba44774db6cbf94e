"""The built-in payment provider's process."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

import uvicorn

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import private_folder
from counterfoil.payment_provider.app import create_app
from counterfoil.payment_provider.books import Books, BooksDamaged
from counterfoil.payment_provider.clerk import Clerk
from counterfoil.payment_provider.courier import Courier

if TYPE_CHECKING:
    from counterfoil.settings import Settings

BOOKS: Final = "provider.sqlite"
MAX_CONNECTIONS_COUNT: Final = 2_048
LONGEST_GOODBYE_SECONDS: Final = 2


def main(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way then goes on at the next start.

    Raises CannotStartError when the books cannot be opened; ends with status 1 when the port is taken.
    """
    path = private_folder(settings.var) / BOOKS
    try:
        books = Books(path)
    except BooksDamaged as error:
        raise CannotStartError(
            f"The payment provider's books are damaged ({error}). Put a backup in their place, or move the file and "
            "the -wal and -shm files beside it away: the provider then starts with empty books."
        ) from error
    clerk = Clerk(books)
    try:
        asyncio.run(_serve(settings, clerk))
    finally:
        clerk.close()


async def _serve(settings: Settings, clerk: Clerk) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(clerk),
            host=settings.host,
            port=settings.provider_port,
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=MAX_CONNECTIONS_COUNT,
            timeout_graceful_shutdown=LONGEST_GOODBYE_SECONDS,
        )
    )
    courier = Courier(clerk, settings.webhook_target, settings.webhook_secret.get_secret_value())

    def stop() -> None:
        server.should_exit = True

    # The server raises its signal again when it is done; with handlers of ours there that ends nothing half way.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    # If either of the two fails, the group ends the server too: a provider that settles nothing must not look alive.
    async with asyncio.TaskGroup() as group:
        background = [
            group.create_task(clerk.settle_forever(courier.expect_events), name="settle"),
            group.create_task(courier.deliver_forever(), name="deliver"),
        ]
        await server.serve()
        for task in background:
            task.cancel()
