from __future__ import annotations

import asyncio
from typing import Any

from commandside.writer import Committed, Decision, Writer


async def together(writer: Writer, *decisions: Decision[Any]) -> list[Any]:
    """Hands them over at once, which makes them one batch; results and exceptions in the same order."""
    outcomes = await asyncio.gather(*map(writer.execute, decisions), return_exceptions=True)
    return [outcome.result if isinstance(outcome, Committed) else outcome for outcome in outcomes]
