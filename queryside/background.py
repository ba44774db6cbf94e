"""Tasks that work for many requests at once and belong to none: they must not outlive what they read from."""

from __future__ import annotations

import asyncio


async def end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancels those that still run and returns when they have ended."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
