"""Installing: what is whole is left alone, what failed is never taken for whole, and a message says what to do."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.rules.sources import PROJECT

TIMEOUT_SECONDS = 100
NOBODY = 65_534


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project of nothing but the means to install it, under a name that a careless script trips over."""
    return cloned(tmp_path)


def cloned(place: Path) -> Path:
    folder = place / "a clone's folder"
    (folder / ".ci").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".ci/environment.py"):
        shutil.copy(PROJECT / name, folder / name)
    return folder


@contextmanager
def folder_that_all_can_enter() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def python_for_all() -> str:
    """One that an ordinary user can run: ours may lie under root's home."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        asked = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        with suppress(OSError):
            if subprocess.run(asked, user=NOBODY, check=False, timeout=TIMEOUT_SECONDS).returncode == 0:
                return python
    pytest.skip("no Python 3.11 that an ordinary user could run")


def run(
    *command: str,
    cwd: Path,
    user: int | None = None,
    group: int | None = None,
    extra_groups: list[int] | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    without_make = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**without_make, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        user=user,
        group=group,
        extra_groups=extra_groups,
    )


def test_a_whole_environment_is_left_alone() -> None:
    made = (PROJECT / ".venv" / ".complete").stat().st_mtime_ns

    result = run(sys.executable, ".ci/environment.py", cwd=PROJECT)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (PROJECT / ".venv" / ".complete").stat().st_mtime_ns == made


def test_a_failed_installation_is_not_taken_for_whole(clone: Path) -> None:
    # Refused by pip before it asks anybody for anything.
    (clone / "requirements.lock").write_text("a line that is no requirement\n")

    result = run(sys.executable, ".ci/environment.py", cwd=clone)

    assert result.returncode != 0
    assert "Invalid requirement" in result.stderr
    assert "the same command goes on" in result.stderr
    assert not (clone / ".venv" / ".complete").exists()


def test_an_environment_whose_python_cannot_be_run_is_made_again(clone: Path) -> None:
    (clone / "requirements.lock").write_text("a line that is no requirement\n")  # goes no further than to pip
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("left by another user, who may run it")
    (clone / ".venv" / ".complete").write_text("")

    result = run(sys.executable, ".ci/environment.py", cwd=clone)

    assert "Invalid requirement" in result.stderr
    assert "Traceback" not in result.stderr
    assert subprocess.run([python, "-c", ""], check=False, timeout=TIMEOUT_SECONDS).returncode == 0


@pytest.mark.parametrize("name", [".venv", ".cache"])
def test_what_another_user_made_is_left_alone_and_it_says_what_to_do(name: str) -> None:
    with folder_that_all_can_enter() as place:
        clone = cloned(place)
        theirs = clone / name
        theirs.mkdir()
        (theirs / "kept").write_text("kept")
        options: dict[str, Any] = {}
        python = sys.executable
        if os.geteuid() == 0:  # theirs stays root's; the rest is given to whom we run it as
            python = python_for_all()
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in [clone, *(path for path in clone.rglob("*") if theirs not in (path, path.parent))]:
                os.chown(path, NOBODY, NOBODY)
        else:
            theirs.chmod(0o555)

        result = run(python, ".ci/environment.py", cwd=clone, **options)

        theirs.chmod(0o755)
        assert result.returncode != 0
        assert f"{theirs} belongs to another user" in result.stderr
        assert f"rm -rf {shlex.quote(str(theirs))}" in result.stderr
        assert "Traceback" not in result.stderr
        assert [path.name for path in theirs.iterdir()] == ["kept"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_refused_and_its_target_left_alone(clone: Path, tmp_path: Path, there: bool) -> None:
    theirs = tmp_path / "theirs"
    (clone / ".venv").symlink_to(theirs)
    if there:
        theirs.mkdir()
        (theirs / "kept").write_text("kept")

    result = run(sys.executable, ".ci/environment.py", cwd=clone)

    assert result.returncode != 0
    assert f"is a link to {theirs}" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in theirs.iterdir()] == ["kept"] if there else not theirs.exists()
    assert (clone / ".venv").is_symlink()


def test_without_pip_and_ensurepip_it_says_what_to_install(clone: Path) -> None:
    stand_ins = clone / "stand_ins"
    stand_ins.mkdir()
    for name in ("pip", "ensurepip"):
        (stand_ins / f"{name}.py").write_text("raise ImportError('not in this Python')\n")

    result = run(sys.executable, ".ci/environment.py", cwd=clone, PYTHONPATH=str(stand_ins))

    assert result.returncode != 0
    assert "apt-get install python3-venv" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_python_make_says_what_to_install(clone: Path) -> None:
    commands = clone / "commands"
    commands.mkdir()
    make, shell = shutil.which("make"), shutil.which("sh")
    assert make and shell

    result = run(make, "venv", f"SHELL={shell}", cwd=clone, PATH=str(commands))

    assert result.returncode != 0
    assert "needs Python 3.11 or later" in result.stderr


def test_make_alone_says_what_there_is(clone: Path) -> None:
    result = run("make", cwd=clone)

    assert result.returncode == 0
    assert {"up", "test", "lint", "lock", "clean"} <= {line.split()[1] for line in result.stdout.splitlines()}
    assert not (clone / ".venv").exists()
