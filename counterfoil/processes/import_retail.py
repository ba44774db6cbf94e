"""`counterfoil import retail FILE`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from counterfoil import log_tool
from counterfoil.imports.beside import write_beside, write_rejected
from counterfoil.imports.connection import connected_provider, connected_store
from counterfoil.imports.retail.invoices import read
from counterfoil.imports.retail.replay import replay
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
    file = read(path)
    with shown_on(console) as progress, asked_to_stop() as stopping:
        rejected = write_rejected(path, file.rejected, progress.say)
        async with connected_store(settings) as store, connected_provider(settings) as provider:
            report = await replay(settings, store, provider, file, progress, stopping)
    if report is None:
        return False
    found = {"file": str(path), "rejected_file": str(rejected) if rejected else None, **report.as_json()}
    written = write_beside(path, ".report.json", json.dumps(found, indent=2) + "\n")
    say(console, report.as_text())
    say(console, f"  report      {written}")
    return True
