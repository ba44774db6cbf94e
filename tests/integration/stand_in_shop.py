"""A shop whose parts are stand-ins, with the real servers and the real supervisor; run as a program.

`stand_in_shop.py up` is `counterfoil up`; any other argument is one of its parts. A part notes its starts in
`<var>/starts/<part>`; a file `<var>/break/<part>` makes it end at once with code 7.
"""

import asyncio
import http.server
import os
import sys
from pathlib import Path

_PORTS = {"command-api": "COMMAND", "query-api": "QUERY", "provider": "PROVIDER", "projector": "PROJECTOR"}


def main(name: str) -> None:
    if name == "up":
        _up()
        return
    var = Path(os.environ["COUNTERFOIL_VAR"])
    (var / "starts").mkdir(exist_ok=True)
    with (var / "starts" / name).open("a") as starts:
        starts.write(f"{os.getpid()} {os.environ['DATABASE_URL']} {os.environ['REDIS_URL']}\n")
    if (var / "break" / name).exists():
        sys.stderr.write(f"the {name} is broken on purpose\n")
        sys.exit(7)
    if name in _PORTS:
        port = int(os.environ[f"COUNTERFOIL_{_PORTS[name]}_PORT"])
        http.server.ThreadingHTTPServer(("127.0.0.1", port), _Ready).serve_forever()


class _Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _up() -> None:
    # Only here: the parts start in a moment without them.
    from counterfoil.embedded.errors import CannotStartError  # noqa: PLC0415
    from counterfoil.embedded.journal import Screen  # noqa: PLC0415
    from counterfoil.embedded.shop import up  # noqa: PLC0415
    from counterfoil.settings import Settings  # noqa: PLC0415

    try:
        asyncio.run(up(Settings(), Screen(width=200), program=(sys.executable, __file__), empty="--empty" in sys.argv))
    except CannotStartError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
