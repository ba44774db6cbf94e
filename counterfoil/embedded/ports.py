"""Ports of this machine: taken or free."""

import errno
import json
import socket
from pathlib import Path
from typing import Final

from counterfoil.embedded.files import write_private

_FIRST_PORT: Final = 1_024  # those below are for root, and never given by the system
_LAST_PORT: Final = 65_535


def is_taken(host: str, port: int) -> bool:
    """True where a server could not listen on it now.

    Raises OSError where the host is not one of this machine's addresses, or the port is not allowed to this user.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as candidate:
        # As servers do: a port whose last connections are only waiting out their time is free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
        return False


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.bind((host, 0))
        port: int = candidate.getsockname()[1]
        return port


def remembered_port(folder: Path, host: str = "127.0.0.1") -> int:
    """The port that the server of this folder had the last time, where it is free; else a new one, remembered."""
    path = folder / "port.json"
    remembered = _read(path)
    if remembered is not None and not is_taken(host, remembered):
        return remembered
    port = free_port(host)
    write_private(path, json.dumps({"port": port}) + "\n")
    return port


def _read(path: Path) -> int | None:
    """None where there is nothing, or what is no port: it is remembered for convenience, and can be made anew."""
    try:
        port = json.loads(path.read_text(encoding="utf-8"))["port"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return port if type(port) is int and _FIRST_PORT <= port <= _LAST_PORT else None
