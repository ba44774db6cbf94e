"""What is running on a data folder, for other commands to find: `<var>/runtime.json`, and the lock that proves it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import write_private
from counterfoil.settings import Settings, Signing

_LOCK_TIMEOUT_SECONDS: Final = 1.0
_LOCK_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class RunningShop:
    """The addresses of a shop that runs, and its processes by part. The two store URLs carry passwords."""

    supervisor_pid: int
    command_url: str
    query_url: str
    provider_url: str
    database_url: str
    redis_url: str
    pids: Mapping[str, int]


class NotRunningError(CannotStartError):
    """There is no shop on this data folder; the message says how to start one."""


@contextmanager
def only_supervisor(var: Path) -> Iterator[None]:
    """Hold the data folder as its only supervisor. Raises CannotStartError where another one holds it."""
    descriptor = os.open(var / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS  # somebody may be looking whether it is held
        while not _take(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                holder = os.read(descriptor, 32).decode(errors="replace").strip()
                raise CannotStartError(
                    f"Another shop (process {holder or 'unknown'}) runs on {var}. "
                    "Stop it, or name another data folder with COUNTERFOIL_VAR."
                )
            time.sleep(_LOCK_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def remember(var: Path, shop: RunningShop) -> None:
    """Write `runtime.json` (0600). Raises CannotStartError where that fails."""
    write_private(var / "runtime.json", json.dumps(asdict(shop), indent=2) + "\n")


def forget(var: Path) -> None:
    (var / "runtime.json").unlink(missing_ok=True)


def find_running(settings: Settings | Signing) -> RunningShop:
    """The shop that runs on the data folder of these settings. Raises NotRunningError."""
    var = settings.var.absolute()
    try:
        descriptor = os.open(var / "lock", os.O_RDONLY)
        try:
            held = not _take(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)
        if held:
            return RunningShop(**json.loads((var / "runtime.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass  # never started, or not quite up
    except PermissionError as error:
        raise NotRunningError(
            f"{error.filename} belongs to another user: run as the one that runs the shop."
        ) from error
    raise NotRunningError(
        f"No shop is running on {var}. Start one with `make up`, "
        "or name its data folder with COUNTERFOIL_VAR, or set DATABASE_URL and REDIS_URL."
    )


def connected(settings: Settings) -> Settings:
    """These settings with the addresses of the running shop where none are given. Raises NotRunningError."""
    if settings.database_url is not None and settings.redis_url is not None:
        return settings
    shop = find_running(settings)
    return settings.model_copy(
        update={
            "database_url": settings.database_url or shop.database_url,
            "redis_url": settings.redis_url or shop.redis_url,
            "provider_url": settings.provider_url or shop.provider_url,
        }
    )


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
