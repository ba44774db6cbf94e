"""The image: what goes into it is what the product needs, and every command of compose.yaml runs from just that."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from counterfoil.settings import variable
from ops.image.product_lock import product_lock
from tests.fixtures.ports import free_port
from tests.integration.ops.compose_file import our_services
from tests.integration.ops.test_compose import PORTS
from tests.rules.sources import PACKAGES, PROJECT

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]


def test_it_is_made_in_two_stages_of_one_pinned_image() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == ["python:3.11-slim-bookworm"] * 2


def test_it_runs_as_an_ordinary_user_with_a_health_check() -> None:
    users = re.findall(r"^USER (\S+)", FINAL, re.MULTILINE)
    assert users == ["10001:10001"]
    assert {service["user"] for service in our_services().values()} == set(users)
    assert "\nHEALTHCHECK " in FINAL


def test_it_has_no_installer_and_every_package_was_checked_against_its_hash() -> None:
    assert re.findall(r"-m pip [a-z]+", FINAL) == ["-m pip uninstall"]
    assert re.search(r"pip uninstall [^\n]*\bpip\b", FINAL)
    assert "--no-deps --require-hashes --requirement product.lock" in DOCKERFILE


def test_all_of_ours_is_copied_and_nothing_else() -> None:
    copied = dict(re.findall(r"^COPY ([\w./]+) ([\w./]+)$", FINAL, re.MULTILINE))
    assert copied == {**{name: name for name in PACKAGES}, "ops/image/healthy.py": "healthy.py"}
    wanted = (PROJECT / ".dockerignore").read_text().splitlines()
    assert wanted[1] == "*"
    for source in copied:
        assert any(f"!{folder}" in wanted for folder in (source, source.rpartition("/")[0])), source


def test_its_packages_are_those_that_the_product_asks_for() -> None:
    """Found from the lock's comments; held against what the installed packages say of themselves."""
    locked = product_lock((PROJECT / "pyproject.toml").read_text(), (PROJECT / "requirements.lock").read_text())
    names = set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))

    needed = closure("counterfoil")

    assert needed <= names
    # Asked for on other Pythons only, by markers that the lock does not repeat.
    assert names - needed <= {"async-timeout", "typing-extensions"}
    assert not names & {"pytest", "mypy", "ruff", "pip", "setuptools", "hatchling", "hypothesis"}


def closure(name: str) -> set[str]:
    """Everything that an installed package asks for on this machine, without extras that nobody names."""
    found: set[str] = set()
    waiting = [(name, "")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        package, extra = waiting.pop()
        for line in requires(package) or []:
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            asked = canonicalize_name(requirement.name)
            found.add(asked)
            new = {(asked, one) for one in ("", *requirement.extras)} - seen
            seen |= new
            waiting += sorted(new)
    return found


def test_a_package_that_is_not_locked_is_told() -> None:
    with pytest.raises(ValueError, match="not in the lock: left-pad"):
        product_lock('[project]\ndependencies = ["left-pad>=1"]', "")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder /app of the image."""
    app = tmp_path / "app"
    app.mkdir()
    for source, target in re.findall(r"^COPY ([\w./]+) ([\w./]+)$", FINAL, re.MULTILINE):
        if (PROJECT / source).is_dir():
            shutil.copytree(PROJECT / source, app / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / source, app / target)
    return app


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(our_services()))
def test_every_command_of_compose_runs(
    name: str, image: Path, database_url: str, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    service = our_services()[name]
    addresses = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    if name in ("relay", "worker"):
        addresses |= {
            "KAFKA_URL": request.getfixturevalue("kafka_url"),
            "OPENSEARCH_URL": request.getfixturevalue("opensearch_url"),
        }
    settings = {key: value for key, value in service["environment"].items() if "://" not in value and "$" not in value}
    secrets = {key: "s" * 32 for key in service["environment"] if key.endswith("_SECRET")}
    port = free_port()
    field = PORTS.get(name, f"{name}_port")
    environment = {
        "PATH": os.environ["PATH"],
        **settings,
        **secrets,
        "COUNTERFOIL_VAR": str(tmp_path / "var"),
        "COUNTERFOIL_HOST": "127.0.0.1",
        **addresses,
        variable(field): str(port),
    }
    command = [sys.executable, *service["command"][1:]]

    if service["restart"] == "no":
        subprocess.run(command, cwd=image, env=environment, timeout=START_TIMEOUT_SECONDS, check=True)
        return
    check = [sys.executable, *service["healthcheck"]["test"][2:-1], str(port)]
    with running(command, image, environment, tmp_path / "said") as process:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while subprocess.run(check, cwd=image, timeout=START_TIMEOUT_SECONDS, check=False).returncode != 0:
            said = (tmp_path / "said").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

        process.send_signal(signal.SIGTERM)

        assert process.wait(STOP_TIMEOUT_SECONDS) in (0, -signal.SIGTERM)


@contextmanager
def running(
    command: list[str], folder: Path, environment: dict[str, str], said: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_SECONDS)


def test_a_part_that_does_not_answer_is_not_healthy(image: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        command = [sys.executable, "healthy.py", str(port)]
        assert subprocess.run(command, cwd=image, timeout=START_TIMEOUT_SECONDS, check=False).returncode == 1
