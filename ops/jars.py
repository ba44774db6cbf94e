"""The programs of Kafka and OpenSearch: fetched once with Maven, kept in `.cache/ops`.

What is fetched is pinned in `ops/<name>/pom.xml`. A folder of the cache is named by the contents of what it was made
from, and appears in one step when it is complete: half a download is never taken for a whole one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops import java
from ops.missing import MissingError

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache" / "ops"
FETCH_TIMEOUT_SECONDS: Final = 600.0
_CONNECT_TIMEOUT_MS: Final = 10_000
_ANSWER_TIMEOUT_MS: Final = 60_000
_LOCK_POLL_SECONDS: Final = 0.1
_FIRST_LINES_COUNT: Final = 4  # Maven says first what failed, and then at length where to read about it


def jars(name: str, *, cache: Path = CACHE, timeout_seconds: float = FETCH_TIMEOUT_SECONDS) -> Path:
    """The folder with the jars, and the compiled classes, of "kafka" or "opensearch"; fetched where it is not there.

    Processes that ask at the same time wait for the one that fetches. Once fetched it needs neither Maven nor a
    network. Raises MissingError where a program is missing, or the download fails or takes too long.
    """
    source = Path(__file__).resolve().parent / name
    folder = cache / f"{name}-{_digest(source)}"
    if folder.is_dir():
        return folder
    maven, compiler = _maven(), java.program("javac")
    deadline = time.monotonic() + timeout_seconds
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache, deadline):
        if not folder.is_dir():
            new = Path(tempfile.mkdtemp(dir=cache, prefix=f"{name}."))
            try:
                _download(maven, source / "pom.xml", new, cache / "maven", deadline)
                _compile(compiler, sorted(source.glob("*.java")), new, deadline)
                new.rename(folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)  # of one that did not come to its end
    return folder


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([source / "pom.xml", *source.glob("*.java")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _maven() -> str:
    found = shutil.which("mvn")
    if found is None:
        raise MissingError("Maven is missing (on Debian: apt-get install maven)")
    return found


def _download(maven: str, pom: Path, into: Path, repository: Path, deadline: float) -> None:
    _run(
        [
            maven,
            *("--batch-mode", "--quiet", "--no-transfer-progress"),
            "--strict-checksums",
            *("--file", str(pom)),
            f"-Dmaven.repo.local={repository}",
            # Of the two transports that Maven has had, the older one's names and the newer one's.
            f"-Dmaven.wagon.http.connectionTimeout={_CONNECT_TIMEOUT_MS}",
            f"-Dmaven.wagon.http.readTimeout={_ANSWER_TIMEOUT_MS}",
            f"-Daether.connector.connectTimeout={_CONNECT_TIMEOUT_MS}",
            f"-Daether.connector.requestTimeout={_ANSWER_TIMEOUT_MS}",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={into}",
        ],
        f"the download of {pom.parent.name}",
        deadline,
    )


def _compile(compiler: Path, sources: list[Path], into: Path, deadline: float) -> None:
    if sources:
        _run(
            [
                str(compiler),
                *("--release", str(java.MAJOR_MIN), "-proc:none"),
                *("-classpath", f"{into}/*", "-d", str(into)),
                *(str(path) for path in sources),
            ],
            f"the compilation of {sources[0].name}",
            deadline,
        )


def _run(command: list[str], what: str, deadline: float) -> None:
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"JAVA_HOME": str(java.program("javac").parent.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=max(1.0, deadline - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{what} took too long: stopped after {error.timeout:.0f} s") from error
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()]
        raise MissingError(f"{what} failed ({done.returncode}):\n  " + "\n  ".join(said[:_FIRST_LINES_COUNT]))


@contextmanager
def _one_at_a_time(cache: Path, deadline: float) -> Iterator[None]:
    descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise MissingError(f"another process is still fetching into {cache}")
            time.sleep(_LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
