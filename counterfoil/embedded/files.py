"""Private files: readable by their owner only, and never seen half written."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterfoil.embedded.errors import CannotStartError


def private_folder(path: Path) -> Path:
    """Make the folder (0700) where it is missing and return its absolute path; one that is there keeps its mode.

    Raises CannotStartError where it cannot be made or written.
    """
    folder = path.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStartError(
            f"The data folder {folder} cannot be made: {error.strerror}. Choose another one with COUNTERFOIL_VAR."
        ) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise CannotStartError(
            f"The data folder {folder} belongs to another user (id {folder.stat().st_uid}) and cannot be written. "
            "Run as that user, or choose another folder with COUNTERFOIL_VAR."
        )
    return folder


def write_private(path: Path, text: str) -> None:
    """Replace the file's contents in one step; mode 0600.

    Raises CannotStartError where it cannot be written (no space left, not ours).
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the first byte
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CannotStartError(f"{path} cannot be written: {error.strerror}.") from error


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes that enter here with the same one; for a few file operations only."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
