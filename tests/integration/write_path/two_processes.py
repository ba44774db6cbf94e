from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from tests.integration.write_path.shelf_commands import ShelfCommand
from tests.integration.write_path.writing_process import Answer
from tests.rules.sources import PROJECT

PATIENCE_SECONDS = 30.0
END_TIMEOUT_SECONDS = 10.0


class WritingProcess:
    """Told waves of commands by its input; its answers are waited for, but never for ever."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert self._line() == b"ready\n"

    def send(self, wave: Sequence[ShelfCommand]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(wave) + b"\n")
        self._process.stdin.flush()

    def answer(self) -> Answer:
        return msgspec.json.decode(self._line(), type=Answer)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        assert ready, f"no answer within {PATIENCE_SECONDS} s"
        return self._process.stdout.readline()


@contextmanager
def two_writing_processes(database_url: str) -> Iterator[tuple[WritingProcess, WritingProcess]]:
    with ExitStack() as stack:
        started = [stack.enter_context(_started(database_url)) for _ in range(2)]
        yield WritingProcess(started[0]), WritingProcess(started[1])


@contextmanager
def _started(database_url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.write_path.writing_process"],
        env={**os.environ, "DATABASE_URL": database_url},
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=-1,
    )
    try:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(END_TIMEOUT_SECONDS) == 0
    finally:
        process.kill()
        process.wait(END_TIMEOUT_SECONDS)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
