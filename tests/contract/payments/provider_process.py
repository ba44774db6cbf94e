from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.fixtures.ports import free_port

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30
TIMEOUT_SECONDS = 30
WEBHOOK_SECRET = "a webhook secret that only tests know"

_PROGRAM = (
    "from counterfoil.processes.provider import main; from counterfoil.settings import Settings; main(Settings())"
)


class ProviderProcess:
    """The real thing in a process of its own, with its books in `var`; stopped at the end of the `with`."""

    def __init__(self, var: Path, *, webhook_port: int | None = None) -> None:
        self.var = var
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._webhook_port = webhook_port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = var.with_name(f"{var.name}.log")

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it and wait for nothing."""
        environment = {
            **os.environ,
            "COUNTERFOIL_VAR": str(self.var),
            "COUNTERFOIL_PROVIDER_PORT": str(self.port),
            "COUNTERFOIL_COMMAND_PORT": str(self._webhook_port),
            "COUNTERFOIL_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "COUNTERFOIL_JWT_SECRET": "x" * 32,
            "COUNTERFOIL_SESSION_SECRET": "x" * 32,
        }
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM], env=environment, stdout=output, stderr=output
            )
        return self._process

    def start(self) -> None:
        process = self.launch()
        until = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                if self.get("/readyz").is_success:
                    return
            except httpx.TransportError:
                assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: it has no chance to put anything in order."""
        assert self._process is not None
        self._process.kill()
        assert self._process.wait(STOP_TIMEOUT_SECONDS) == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_TIMEOUT_SECONDS)

    def books(self) -> dict[str, Any]:
        books: dict[str, Any] = self.get("/v1/books").raise_for_status().json()
        return books

    def post(self, path: str, body: object, *, key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        with _client() as client:
            return client.post(self.url + path, json=body, headers=headers)

    def get(self, path: str) -> httpx.Response:
        with _client() as client:
            return client.get(self.url + path)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_SECONDS)


def _client() -> httpx.Client:
    # No certificates are loaded for an address of this machine: that takes longer than all the rest.
    return httpx.Client(trust_env=False, verify=False, timeout=TIMEOUT_SECONDS)  # noqa: S501
