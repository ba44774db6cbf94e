"""`counterfoil import products FILE`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from counterfoil import log_tool, wiring
from counterfoil.imports.beside import write_rejected
from counterfoil.imports.connection import connected_store
from counterfoil.imports.products import import_products
from counterfoil.imports.stopping import asked_to_stop
from counterfoil.progress import say, shown_on

if TYPE_CHECKING:
    from counterfoil.settings import Settings

INTERRUPTED: Final = 130


def main(settings: Settings, path: Path) -> int:
    """0 when all of the file is in the shop, INTERRUPTED when it was stopped before. Raises ImportStopped."""
    console = Console()
    try:
        finished = log_tool.run(_import(settings, path, console))
    except asyncio.CancelledError:  # asked twice
        finished = False
    if not finished:
        console.print("Stopped. The same command goes on where it was.")
    return 0 if finished else INTERRUPTED


async def _import(settings: Settings, path: Path, console: Console) -> bool:
    with shown_on(console) as progress, asked_to_stop() as stopping:
        # No checkout happens here: the provider is there for the shape of it, and is never called.
        async with connected_store(settings) as store, wiring.payment_provider(settings) as provider:
            write_side = wiring.write_side(settings, store, provider)
            await write_side.start(resume=False)
            try:
                report, rejected = await import_products(write_side, path, progress, wiring.now, stopping)
            finally:
                await write_side.stop()
        write_rejected(path, rejected, progress.say)
    say(console, report.as_text())
    return report.finished
