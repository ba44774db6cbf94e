"""Installing: what is whole is left alone, what failed is never taken for whole, and a message says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.sources import PROJECT

TIMEOUT_SECONDS = 100


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project of nothing but the means to install it, under a name that a careless script trips over."""
    folder = tmp_path / "a clone's folder"
    (folder / ".ci").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".ci/environment.py"):
        shutil.copy(PROJECT / name, folder / name)
    return folder


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    without_make = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**without_make, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
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
