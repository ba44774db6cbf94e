"""Keeps a set of parts running, and stops them all within a bound."""

import asyncio
from collections.abc import Iterable
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.journal import Journal
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.part import KeptPart, LastWords, Part, how_it_ended, lines, start

_READY_TIMEOUT_SECONDS: Final = 60.0
_START_ENDS_MAX_COUNT: Final = 3
_POLL_SECONDS: Final = 0.02
_STOP_TIMEOUT_SECONDS: Final = 9.0


class Supervisor:
    """Groups of parts in the order of their starts; what was started last is stopped first."""

    def __init__(
        self,
        journal: Journal,
        *,
        ready_timeout_seconds: float = _READY_TIMEOUT_SECONDS,
        stop_timeout_seconds: float = _STOP_TIMEOUT_SECONDS,
        first_delay_seconds: float = 0.2,
    ) -> None:
        self._journal = journal
        self._ready_timeout_seconds = ready_timeout_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._first_delay_seconds = first_delay_seconds
        self._groups: list[list[KeptPart]] = []
        self._keeping: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> dict[str, int]:
        """The processes at the moment, by part; a part between two processes is absent."""
        return {kept.part.name: kept.pid for group in self._groups for kept in group if kept.pid is not None}

    async def start(self, parts: Iterable[Part]) -> None:
        """Start a group side by side and wait until each is ready.

        Raises CannotStartError, with the part's last words, when one ends three times before it is ready, or is
        not ready within 60 s. What was started is still to be stopped then.
        """
        group = [KeptPart(part, self._journal, first_delay_seconds=self._first_delay_seconds) for part in parts]
        self._groups.append(group)
        self._keeping += [asyncio.create_task(kept.keep(), name=kept.part.name) for kept in group]
        deadline = asyncio.get_running_loop().time() + self._ready_timeout_seconds
        while waiting := [kept for kept in group if not kept.is_ready.is_set()]:
            for kept in waiting:
                if kept.ends_count >= _START_ENDS_MAX_COUNT:
                    raise _not_up(kept, f"ended {kept.ends_count} times before it was ready")
            if asyncio.get_running_loop().time() > deadline:
                raise _not_up(waiting[0], f"was not ready within {self._ready_timeout_seconds:.0f} s")
            self.check()
            await asyncio.sleep(_POLL_SECONDS)

    async def run(self, name: str, launch: Launch, timeout_seconds: float) -> None:
        """Run something that ends by itself, such as the migrations.

        Raises CannotStartError, with its last words, when it fails or is not done in time; cancelled, it is ended.
        """
        process = await start(launch)
        last_words = LastWords()

        async def hear() -> None:
            async for line in lines(process):
                self._journal.heard(name, line)
                last_words.add(line)

        try:
            async with asyncio.timeout(timeout_seconds):
                await hear()
                code = await process.wait()
            ended = how_it_ended(code)
        except TimeoutError:
            code, ended = -1, f"was not done within {timeout_seconds:.0f} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code != 0:
            raise CannotStartError(f"{name} {ended}:\n{last_words}\n  (all of it: {self._journal.path(name)})")

    def check(self) -> None:
        """Raises what ended the keeping of a part: a fault of ours, after which nobody would start it again."""
        for task in self._keeping:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """Stop everything, group by group, in 9 s; what has not ended by its group's share of them is killed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._stop_timeout_seconds
        for left, group in reversed(list(enumerate(self._groups, start=1))):
            share = max(0.0, deadline - loop.time()) / left
            await asyncio.gather(*(kept.stop(share) for kept in group))
        await asyncio.gather(*self._keeping)
        self._groups.clear()
        self._keeping.clear()


def _not_up(kept: KeptPart, what: str) -> CannotStartError:
    return CannotStartError(
        f"{kept.part.name} {what}. Its last words:\n{kept.last_lines}\n{kept.part.advice()}".strip()
    )
