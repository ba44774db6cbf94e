"""HTTP as uvicorn speaks it; what it refuses by itself, which no application hears of, is a problem too."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from counterfoil.http.problems import render

_REFUSAL: Final = render(400, "malformed-request", "This is no request of HTTP/1.1.")
_REFUSAL.headers["Connection"] = "close"


_TOO_MANY: Final = render(503, "busy", "More is asked than can be answered. Nothing was done.", retry_after_seconds=1)


class ProblemProtocol(HttpToolsProtocol):
    def on_headers_complete(self) -> None:
        # Else uvicorn answers what is above its limit in its own way.
        limit, self.limit_concurrency = self.config.limit_concurrency, None
        busy = limit is not None and max(len(self.connections), len(self.tasks)) >= limit
        self.app = _TOO_MANY if busy else self.config.loaded_app
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        headers = [*self.server_state.default_headers, *_REFUSAL.raw_headers]
        self.transport.write(
            STATUS_LINE[400] + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n" + bytes(_REFUSAL.body)
        )
        self.transport.close()
