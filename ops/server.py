"""A server on this machine as a process: started, stopped, killed, and started again on the same address and data."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from counterfoil.embedded.files import write_private
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.ports import is_taken

HOST: Final = "127.0.0.1"
READY_TIMEOUT_SECONDS: Final = 90.0
STOP_TIMEOUT_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05
# Below the ports that a system gives to outgoing connections: nobody takes them while the server is down.
_PORTS: Final = range(20_000, 32_000, 2)
_PORT_TRIES_COUNT: Final = 20
_START_TRIES_COUNT: Final = 3
_LAST_LINES_COUNT: Final = 12


class ServerFailedError(Exception):
    """A server did not start; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a server is: `command(folder, port)` prepares the folder and says how to run it there.

    It may use `port` and `port + 1`. `answers(port)` says whether it does its work; it takes 2 s at most.
    """

    name: str
    command: Callable[[Path, int], tuple[str, ...]]
    answers: Callable[[int], bool]


@dataclass(slots=True)
class Server:
    """One server on a folder, which keeps its data, its log (`server.log`) and its port.

    A context manager: started on entering, stopped on leaving. On Linux the process is killed when the thread that
    started it is gone, so that nothing is left behind however a test ends.
    """

    kind: Kind
    folder: Path
    ready_timeout_seconds: float = READY_TIMEOUT_SECONDS
    stop_timeout_seconds: float = STOP_TIMEOUT_SECONDS
    _port: int | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def port(self) -> int:
        """The same from the first start on. Raises ValueError before."""
        if self._port is None:
            raise ValueError(f"{self.kind.name} was never started")
        return self._port

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it and wait until it answers, 90 s at most; nothing where it runs already.

        Raises ServerFailedError with its last words, and MissingError where it cannot run on this machine.
        """
        if self.pid is not None:
            return
        self.folder = self.folder.absolute()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        first = self._port is None
        for left in reversed(range(_START_TRIES_COUNT if first else 1)):
            port = _remembered_port(self.folder) if self._port is None else self._port
            try:
                self._start_on(port)
            except ServerFailedError:
                if left == 0 or not (is_taken(HOST, port) or is_taken(HOST, port + 1)):
                    raise
                continue  # somebody else was quicker: another port
            self._port = port
            return

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 20 s; nothing where it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(self.stop_timeout_seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL; nothing where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(self.stop_timeout_seconds)

    def last_words(self) -> str:
        """The end of its log, indented."""
        with suppress(FileNotFoundError):
            lines = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join(f"  {line}" for line in lines[-_LAST_LINES_COUNT:]) or "  (nothing)"
        return "  (nothing)"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start_on(self, port: int) -> None:
        launch = Launch(
            command=self.kind.command(self.folder, port),
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            folder=self.folder,
            stop_signal=signal.SIGTERM,
        )
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                launch.arguments, **launch.options, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._await_ready(port)
        except BaseException:
            self.kill()
            raise

    def _await_ready(self, port: int) -> None:
        deadline = time.monotonic() + self.ready_timeout_seconds
        while not self.kind.answers(port):
            if self.pid is None:
                raise ServerFailedError(f"{self.kind.name} ended at its start:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerFailedError(
                    f"{self.kind.name} does not answer after {self.ready_timeout_seconds:.0f} s:\n{self.last_words()}"
                )
            time.sleep(_POLL_SECONDS)
        if self.pid is None:  # what answered was another server
            raise ServerFailedError(f"{self.kind.name} ended at its start:\n{self.last_words()}")


def _remembered_port(folder: Path) -> int:
    """The port of the last time where it is free with the one after it; else a new one, remembered."""
    path = folder / "port.json"
    if path.exists():
        port: int = json.loads(path.read_text(encoding="utf-8"))["port"]
        if _is_free(port):
            return port
    for port in random.SystemRandom().sample(_PORTS, _PORT_TRIES_COUNT):
        if _is_free(port):
            write_private(path, json.dumps({"port": port}) + "\n")
            return port
    raise ServerFailedError(f"no free port among {_PORT_TRIES_COUNT} from {_PORTS.start} to {_PORTS.stop}")


def _is_free(port: int) -> bool:
    return not is_taken(HOST, port) and not is_taken(HOST, port + 1)
