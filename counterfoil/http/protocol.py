"""HTTP as uvicorn speaks it; what its parser refuses, which no application hears of, is a problem too."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from counterfoil.http.problems import render

_REFUSAL: Final = render(400, "malformed-request", "This is no request of HTTP/1.1.")
_REFUSAL.headers["Connection"] = "close"


class ProblemProtocol(HttpToolsProtocol):
    def send_400_response(self, msg: str) -> None:
        headers = [*self.server_state.default_headers, *_REFUSAL.raw_headers]
        self.transport.write(
            STATUS_LINE[400] + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n" + bytes(_REFUSAL.body)
        )
        self.transport.close()
