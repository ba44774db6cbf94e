"""How a process of ours is started."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True)
class Launch:
    """One process: what to run, as whom, and which signals end it.

    `user_id` None keeps our user; otherwise the process has that user and group id and no other group.
    `death_signal` is what it gets when we are gone without stopping it (on Linux).
    `open_files` are descriptors that it inherits under the same numbers.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)  # it carries passwords
    folder: Path | None = None
    user_id: int | None = None
    open_files: tuple[int, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL

    @property
    def arguments(self) -> tuple[str, ...]:
        """The whole command line, for subprocess or asyncio; to be run by the process that asks for it."""
        user = "-" if self.user_id is None else str(self.user_id)
        leash = (sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), str(int(self.death_signal)), user)
        return (*leash, *self.command)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of subprocess.Popen that go with `arguments`, but for the three streams.

        A session of its own keeps the terminal's Ctrl-C from it: in which order things stop is ours to say.
        """
        return {
            "env": dict(self.environment),
            "cwd": self.folder,
            "pass_fds": self.open_files,
            "start_new_session": True,
        }
