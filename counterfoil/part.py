"""One part of the shop as a process of its own: `python -m counterfoil.part NAME`.

The same as `counterfoil NAME`, without the command line's library, which would stay in the memory of every part.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final, TypeVar

from pydantic import ValidationError

from counterfoil.collecting import collect_nothing_yet, collect_seldom
from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.running import connected
from counterfoil.settings import Settings, Signing, variable

PARTS: Final = ("migrate", "seed-demo", "command-api", "query-api", "projector", "relay", "worker", "provider")
_WITHOUT_REDIS: Final = ("relay",)
_Loaded = TypeVar("_Loaded")


def run(name: str) -> None:
    """Run `main(settings)` of the part's module in `counterfoil.processes`, until it ends.

    The settings have the addresses of the running shop where none are given.
    Raises CannotStartError where there is no such shop, or from the part.
    """
    from counterfoil.logs import configure  # noqa: PLC0415 (the supervisor reads this module and needs no logging)

    settings = load_settings()
    if name not in _WITHOUT_REDIS or settings.database_url is None:
        settings = connected(settings)
    configure(name, settings.log_level)
    collect_nothing_yet()
    part = import_module(f"counterfoil.processes.{name.replace('-', '_')}")
    collect_seldom()
    part.main(settings)


def load_settings() -> Settings:
    """The settings from the environment. Raises CannotStartError, which names the variable that is wrong."""
    return _loaded(Settings)


def load_signing() -> Signing:
    """What to sign with, from the environment or the data folder. Raises CannotStartError likewise; makes nothing."""
    return _loaded(Signing)


def _loaded(kind: Callable[[], _Loaded]) -> _Loaded:
    try:
        return kind()
    except ValidationError as error:
        wrong = "\n  ".join(
            f"{variable(str(fault['loc'][0]))}: {fault['msg']}" if fault["loc"] else fault["msg"]
            for fault in error.errors()
        )
        raise CannotStartError(f"Settings that cannot be:\n  {wrong}") from error


@contextmanager
def plain_errors() -> Iterator[None]:
    """What the person at the keyboard can put right is shown without a traceback, and ends the process with 1."""
    try:
        yield
    except CannotStartError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    with plain_errors():
        if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
            raise CannotStartError(f"python -m counterfoil.part takes one of {', '.join(PARTS)}")
        run(sys.argv[1])
