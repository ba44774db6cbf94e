"""What is fetched is fetched once, whole or not at all, and what is missing is named."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import java
from ops.jars import jars
from ops.missing import MissingError

# A Maven that fetches one jar, slowly enough for another to come meanwhile, and counts its runs.
FETCHES = """\
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) into="${argument#*=}";; esac; done
echo run >> "$COUNT"
sleep 0.5
echo jar > "$into/kafka.jar"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with a JDK 17 and the folder `bin` as its only commands, besides the shell's."""
    program(tmp_path / "jdk/bin/java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    program(tmp_path / "jdk/bin/javac", "")
    (tmp_path / "bin").mkdir()
    for name in ("sleep", "sh"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    monkeypatch.setattr(java, "_INSTALLED", tmp_path / "none")
    java._majors.cache_clear()
    yield tmp_path
    java._majors.cache_clear()


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def left_behind(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.glob("*") if path.name != "lock")


def test_it_is_fetched_once_and_then_needs_no_maven(machine: Path) -> None:
    program(machine / "bin/mvn", FETCHES)
    folder = jars("kafka", cache=machine / "cache")
    assert [path.name for path in folder.iterdir()] == ["kafka.jar"]

    (machine / "bin/mvn").unlink()

    assert jars("kafka", cache=machine / "cache") == folder
    assert (machine / "count").read_text() == "run\n"


def test_those_that_ask_at_once_wait_for_the_one_that_fetches(machine: Path) -> None:
    program(machine / "bin/mvn", FETCHES)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(jars("kafka", cache=machine / "cache"))) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(found) == 4
    assert len(set(found)) == 1
    assert (machine / "count").read_text() == "run\n"
    assert left_behind(machine / "cache") == [found[0].name]


def test_without_maven_it_is_named(machine: Path) -> None:
    with pytest.raises(MissingError, match="Maven is missing"):
        jars("kafka", cache=machine / "cache")


def test_a_download_that_fails_leaves_nothing_and_says_why(machine: Path) -> None:
    program(machine / "bin/mvn", "echo '[ERROR] no route to host'; exit 1")
    with pytest.raises(MissingError, match=r"(?s)download of kafka failed \(1\).*no route to host"):
        jars("kafka", cache=machine / "cache")
    assert left_behind(machine / "cache") == []


def test_a_download_that_hangs_is_stopped(machine: Path) -> None:
    program(machine / "bin/mvn", "exec sleep 600")
    with pytest.raises(MissingError, match="download of kafka took too long"):
        jars("kafka", cache=machine / "cache", timeout_seconds=1)
    assert left_behind(machine / "cache") == []


@pytest.mark.parametrize(("version", "major"), [("11.0.2", 11), ("1.8.0_292", 1), ("25", 25)])
def test_a_java_that_cannot_run_them_is_named(machine: Path, version: str, major: int) -> None:
    program(machine / "jdk/bin/java", f"echo 'openjdk version \"{version}\"' >&2")
    with pytest.raises(MissingError, match=rf"java of a Java from 17 to 22 is missing.*is Java {major}"):
        java.program("java")


def test_another_installed_java_will_do(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(machine / "jdk/bin/java", "echo 'openjdk version \"11.0.2\"' >&2")
    program(machine / "jvm/java-21/bin/java", "echo 'openjdk version \"21.0.7\"' >&2")
    monkeypatch.setattr(java, "_INSTALLED", machine / "jvm")
    assert java.program("java") == machine / "jvm/java-21/bin/java"


def test_a_java_without_a_compiler_is_named(machine: Path) -> None:
    program(machine / "bin/mvn", FETCHES)
    (machine / "jdk/bin/javac").unlink()
    with pytest.raises(MissingError, match=r"javac of a Java from 17 to 22 is missing.*jdk is Java 17"):
        jars("opensearch", cache=machine / "cache")
