"""Makes .venv: what requirements.lock pins, nothing else, and the project itself, editable.

Run by make with any Python from 3.11 on; needs only the standard library. An environment that is whole is left as it
is; one whose making was interrupted has no `.complete` and is gone on with. Two runs at once wait for each other.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = PROJECT / "requirements.lock"
COMPLETE = VENV / ".complete"
LOG = PROJECT / ".cache" / "install.log"
GATE = PROJECT / ".cache" / "install.lock"

LOCK_WAIT_SECONDS = 600
INSTALL_TIMEOUT_SECONDS = 1200
TAIL_LINES_COUNT = 25


def main() -> None:
    if VENV.is_symlink():
        sys.exit(
            f"{VENV} is a link to {os.readlink(VENV)}. What is installed there is left as it is. Remove the link\n"
            f"(rm {shlex.quote(str(VENV))}), and the same command makes an environment in its place."
        )
    if _is_current():
        return
    _require_ours()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time():
        if _is_current():
            return  # the run that was waited for made it
        _make_venv()
        pip = _pip()
        pinned = sum(1 for line in LOCK.read_text().splitlines() if line[:1].isalnum())
        print(f"Installing {pinned} pinned packages into .venv (the first time takes a minute) ...", flush=True)
        _install([*pip, "install", "--no-deps", "--require-hashes", "--requirement", str(LOCK)], pinned)
        # The build backend comes from the lock too: nothing that is not pinned is fetched.
        _install([*pip, "install", "--no-deps", "--no-build-isolation", "--editable", str(PROJECT)], 1)
        _install([*pip, "check"], 0)
        unfinished = COMPLETE.with_suffix(".new")
        unfinished.write_text(_described())
        unfinished.replace(COMPLETE)


def _described() -> str:
    """What the environment was made from; its place too, because a copied one still points at the old folder."""
    made_from = [str(PROJECT), LOCK.read_text(), (PROJECT / "pyproject.toml").read_text()]
    return "\n".join(made_from)


def _is_current() -> bool:
    try:
        return _works(PYTHON) and COMPLETE.read_text() == _described()
    except OSError:  # not there, or another user's
        return False


def _require_ours() -> None:
    """Ends the program where another user (root, mostly) has made what this one would have to make anew."""
    for path in (PROJECT, VENV, LOG.parent, GATE, LOG):
        if path.exists() and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            remove = "" if path == PROJECT else f", or remove it (sudo rm -rf {shlex.quote(str(path))})"
            sys.exit(
                f"{path} belongs to another user (id {path.stat().st_uid}) and cannot be changed by this one (id "
                f"{os.getuid()}).\nRun as that user{remove}, and the same command makes what is missing."
            )


def _make_venv() -> None:
    COMPLETE.unlink(missing_ok=True)
    if _works(PYTHON) and _knows_its_place():
        return
    without_pip = [] if _has("ensurepip") else ["--without-pip"]
    if without_pip and not _has("pip"):
        sys.exit(
            f"{sys.executable} has neither ensurepip nor pip, so nothing can be installed with it.\n"
            "On Debian or Ubuntu: apt-get install python3-venv. Or name another Python: make PYTHON=/path/to/python3"
        )
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", *without_pip, str(VENV)], check=False, timeout=INSTALL_TIMEOUT_SECONDS
    )
    if made.returncode != 0:
        sys.exit(
            f"{VENV} could not be made. Where something in it belongs to another user, remove it (sudo rm -rf "
            f"{shlex.quote(str(VENV))}), and the same command makes another."
        )


def _knows_its_place() -> bool:
    try:
        return str(VENV) in (VENV / "bin" / "activate").read_text()
    except OSError:
        return False


def _works(python: Path) -> bool:
    asked = [str(python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    try:
        return subprocess.run(asked, check=False, timeout=60).returncode == 0
    except OSError:  # not there, or a link to where this user may not go
        return False


def _has(module: str) -> bool:
    asked = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(asked, check=False, timeout=60, stderr=subprocess.DEVNULL).returncode == 0


def _pip() -> list[str]:
    """The environment's own pip, or until it has one the pip of the Python that runs this."""
    own = [str(PYTHON), "-m", "pip"]
    asked = subprocess.run([*own, "--version"], check=False, timeout=60, capture_output=True)
    return own if asked.returncode == 0 else [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def _install(command: list[str], expected: int) -> None:
    """Runs pip, shows how far it is, keeps what it said in .cache/install.log; ends the program when it fails."""
    with (
        LOG.open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
        _killed_after(INSTALL_TIMEOUT_SECONDS, pip),
    ):
        assert pip.stdout is not None
        seen = 0
        for line in pip.stdout:
            log.write(line)
            if line.startswith(("Collecting ", "Requirement already satisfied: ")) and expected:
                seen += 1
                _show_progress(seen, expected)
    if pip.returncode != 0:
        sys.stderr.write("".join(LOG.read_text().splitlines(keepends=True)[-TAIL_LINES_COUNT:]))
        sys.exit(f"The installation failed (all of it: {LOG}). Once the cause is mended, the same command goes on.")


def _show_progress(seen: int, expected: int) -> None:
    if sys.stdout.isatty():
        print(f"\r  {seen} of {expected}", end="\n" if seen == expected else "", flush=True)
    elif seen % 25 == 0 or seen == expected:
        print(f"  {seen} of {expected}", flush=True)


@contextmanager
def _killed_after(timeout_seconds: float, process: subprocess.Popen[str]) -> Iterator[None]:
    timer = threading.Timer(timeout_seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with GATE.open("w") as gate:
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    sys.exit(f"Another installation in {PROJECT} has not ended in {LOCK_WAIT_SECONDS} s.")
                time.sleep(0.2)
        yield


if __name__ == "__main__":
    os.chdir(PROJECT)
    main()
