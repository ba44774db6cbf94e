from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from commandside.payments.webhook import SIGNATURE_HEADER
from tests.fixtures.ports import free_port


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    body: bytes
    signature: str


class WebhookReceiver:
    """A server that keeps what it is sent. `statuses` are its next answers; 200 when there are none left."""

    def __init__(self) -> None:
        self.port = free_port()
        self.received: list[Received] = []
        self.statuses: list[int] = []
        self._server: ThreadingHTTPServer | None = None

    def listen(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, body, self.headers[SIGNATURE_HEADER]))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Silent: pytest's output is for the tests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
