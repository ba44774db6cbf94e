"""The Java that the servers run on."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from ops.missing import MissingError

# OpenSearch 2.19 and Kafka 3.9 want 17; later than 22 they miss what was taken out of Java.
MAJOR_MIN: Final = 17
MAJOR_MAX: Final = 22
_VERSION_TIMEOUT_SECONDS: Final = 30
_INSTALLED: Final = Path("/usr/lib/jvm")


def program(name: str) -> Path:
    """A program, such as `java` or `javac`, of a Java that the servers can run on.

    Looked for where JAVA_HOME points, then in PATH, then among what is installed. Raises MissingError.
    """
    majors = _majors()
    for home, major in majors.items():
        path = home / "bin" / name
        if major is not None and MAJOR_MIN <= major <= MAJOR_MAX and path.is_file():
            return path
    raise MissingError(
        f"{name} of a Java from {MAJOR_MIN} to {MAJOR_MAX} is missing (on Debian: apt-get install default-jdk-headless)"
        + "".join(f"; {home} is Java {major or '(unknown)'}" for home, major in majors.items())
    )


@cache
def _majors() -> dict[Path, int | None]:
    """The folder of each Java of this machine, and its major version."""
    return {home: _major(home) for home in _candidates()}


def _candidates() -> Iterator[Path]:
    if given := os.environ.get("JAVA_HOME"):
        yield Path(given)
    if in_path := shutil.which("java"):
        yield Path(in_path).resolve().parent.parent
    yield from sorted(java.parent.parent.resolve() for java in _INSTALLED.glob("*/bin/java"))


def _major(home: Path) -> int | None:
    """17 for `openjdk version "17.0.15"`; None where it cannot be run."""
    try:
        said = subprocess.run(
            [str(home / "bin" / "java"), "-version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_SECONDS,
            check=True,
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "(\d+)', said)
    return int(version[1]) if version else None
