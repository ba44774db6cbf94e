"""One process that is kept running: started, heard, and started again when it ends."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.journal import Journal, is_important, readable
from counterfoil.embedded.launch import Launch

_FIRST_DELAY_SECONDS: Final = 0.2
_MAX_DELAY_SECONDS: Final = 30.0
_HEALTHY_AFTER_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_WATCH_SECONDS: Final = 2.0
_UNREADY_AFTER_COUNT: Final = 3
_LAST_LINES_COUNT: Final = 8
_LINE_MAX_BYTES: Final = 32 * 1_024
_DRAIN_TIMEOUT_SECONDS: Final = 1.0
_KILL_TIMEOUT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """A process of the shop. `launch` and `is_ready` may block and are called from a thread.

    `launch` may raise CannotStartError: that counts as an end, and is tried again.
    `advice` says what to do when it does not come up.
    """

    name: str
    launch: Callable[[], Launch]
    is_ready: Callable[[], bool]
    advice: Callable[[], str] = lambda: ""


class LastWords:
    """The end of what a process said, for a person: its warnings and errors, or else its last lines; eight at most."""

    def __init__(self) -> None:
        self._important: deque[str] = deque(maxlen=_LAST_LINES_COUNT)
        self._any: deque[str] = deque(maxlen=_LAST_LINES_COUNT)

    def add(self, line: str) -> None:
        level, text = readable(line)
        (self._important if is_important(level) else self._any).append(text)

    def __str__(self) -> str:
        """Indented by two."""
        said = "\n".join(self._important or self._any) or "(nothing)"
        return "\n".join(f"  {line}" for line in said.splitlines())


class KeptPart:
    """A part and the process that runs it at the moment.

    Ended for whatever reason, it is logged with its exit code and last lines and started again after
    0.2 s, then twice as long every time, 30 s at most; small again once it has run for a minute.
    """

    def __init__(
        self,
        part: Part,
        journal: Journal,
        *,
        first_delay_seconds: float = _FIRST_DELAY_SECONDS,
        watch_seconds: float = _WATCH_SECONDS,
    ) -> None:
        self.part = part
        self.ends_count = 0
        self.is_ready = asyncio.Event()
        self._journal = journal
        self._first_delay_seconds = first_delay_seconds
        self._watch_seconds = watch_seconds
        self._was_ready = False
        self._stopping = asyncio.Event()
        self._starting = asyncio.Lock()
        self._stop_gave_up = False
        self._process: asyncio.subprocess.Process | None = None
        self._launch: Launch | None = None
        self._last_words = LastWords()

    @property
    def pid(self) -> int | None:
        """The process that runs it now; None between two."""
        return self._process.pid if self._process is not None else None

    @property
    def last_lines(self) -> str:
        """What it last said, indented; and where the rest is."""
        return f"{self._last_words}\n  (all of it: {self._journal.path(self.part.name)})"

    async def keep(self) -> None:
        """Run it until `stop` is called."""
        delay = self._first_delay_seconds
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            how = await self._run_once()
            self.is_ready.clear()
            if self._stopping.is_set():
                return
            self.ends_count += 1
            if asyncio.get_running_loop().time() - began > _HEALTHY_AFTER_SECONDS:
                delay = self._first_delay_seconds
            self._journal.say(
                "error",
                self.part.name,
                f"{how}; starting it again in {delay:.1f} s. Its last words:\n{self.last_lines}",
                ends_count=self.ends_count,
                delay_seconds=delay,
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=delay)
            delay = min(delay * 2, _MAX_DELAY_SECONDS)

    async def stop(self, within_seconds: float) -> None:
        """End it: its stop signal, and at the bound SIGKILL for it and what it started. It is not started again."""
        self._stopping.set()
        deadline = asyncio.get_running_loop().time() + within_seconds
        try:
            async with asyncio.timeout_at(deadline), self._starting:
                process, launch = self._process, self._launch
        except TimeoutError:
            self._stop_gave_up = True  # it is killed as soon as there is a process to kill
            return
        if process is None or launch is None:
            return
        _send(process.pid, launch.stop_signal)
        try:
            async with asyncio.timeout_at(deadline):
                await process.wait()
        except TimeoutError:
            self._journal.say("warning", self.part.name, f"did not stop within {within_seconds:.0f} s: killed")
            _send_group(process.pid, signal.SIGKILL)
            await asyncio.wait_for(process.wait(), timeout=_KILL_TIMEOUT_SECONDS)

    async def _run_once(self) -> str:
        """Start it and wait for its end; returns in words how it ended."""
        self._last_words = LastWords()
        self._was_ready = False
        async with self._starting:
            try:
                self._launch = launch = await asyncio.to_thread(self.part.launch)
                process = await start(launch)
            except (CannotStartError, OSError) as error:
                self._last_words.add(str(error))
                return "could not be started"
            self._process = process
        if self._stop_gave_up:
            _send_group(process.pid, signal.SIGKILL)
        hearing = asyncio.create_task(self._hear(process))
        watching = asyncio.create_task(self._watch())
        try:
            code = await process.wait()
            # A grandchild may hold the stream open for longer than its parent lived.
            await asyncio.wait({hearing}, timeout=_DRAIN_TIMEOUT_SECONDS)
        finally:
            self._process = None
            hearing.cancel()
            watching.cancel()
            for result in await asyncio.gather(hearing, watching, return_exceptions=True):
                if isinstance(result, Exception):
                    self._journal.say("error", self.part.name, f"could not be watched: {result!r}")
        return how_it_ended(code)

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        async for line in lines(process):
            self._last_words.add(line)
            self._journal.heard(self.part.name, line)

    async def _watch(self) -> None:
        """Say when it is ready, and when it has not been for a while: it may live and be of no use to anybody.

        It is not ended for that: a part whose server is away still does what it can without. Bounded by the
        process: watching ends with it.
        """
        clock = asyncio.get_running_loop().time
        seen_ready_at, failures_count = clock(), 0
        while True:
            if await asyncio.to_thread(self.part.is_ready):
                if not self.is_ready.is_set():
                    word = "back" if self.ends_count or self._was_ready else "ready"
                    self._journal.say("info", self.part.name, f"{word} ({clock() - seen_ready_at:.1f} s)")
                self._was_ready = True
                self.is_ready.set()
                seen_ready_at, failures_count = clock(), 0
            else:
                failures_count += 1
                if self.is_ready.is_set() and failures_count >= _UNREADY_AFTER_COUNT:
                    self.is_ready.clear()
                    self._journal.say("warning", self.part.name, "runs, but is not ready any more: see its /readyz")
            await asyncio.sleep(self._watch_seconds if self._was_ready else _POLL_SECONDS)


async def start(launch: Launch) -> asyncio.subprocess.Process:
    """Start a process whose two streams of output are one pipe. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *launch.arguments,
        **launch.options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    """What it writes, line by line, until it closes the stream; a line longer than 32 kB comes in pieces."""
    assert process.stdout is not None, "start() made the pipe"
    rest = b""
    while piece := await process.stdout.read(_LINE_MAX_BYTES):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", errors="replace")
        if len(rest) > _LINE_MAX_BYTES:
            yield rest.decode("utf-8", errors="replace")
            rest = b""
    if rest:
        yield rest.decode("utf-8", errors="replace")


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _send(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended first
        os.kill(pid, what)


def _send_group(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, what)
