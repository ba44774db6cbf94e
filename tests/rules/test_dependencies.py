"""Dependencies have floors in pyproject.toml, and exact versions with hashes, but no addresses, in the lock."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.rules.sources import PROJECT

PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) (?P<hashes>(--hash=sha256:[0-9a-f]{64} ?)+)")


def declared() -> list[Requirement]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]


def pins(lock: str) -> dict[str, Version]:
    """What a lock pins. Raises ValueError on a line that is no exact version with hashes."""
    found: dict[str, Version] = {}
    for line in lock.replace("\\\n", "").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = PINNED.fullmatch(re.sub(r"\s+", " ", line).strip())
        if parts is None:
            raise ValueError(f"not an exact version with hashes: {line[:80]}")
        found[canonicalize_name(parts["name"])] = Version(parts["version"])
    return found


def without_floor(requirements: list[Requirement]) -> list[str]:
    return [r.name for r in requirements if not any(part.operator == ">=" for part in r.specifier)]


def test_every_dependency_has_a_floor() -> None:
    assert without_floor(declared()) == []


def test_the_lock_pins_every_dependency_above_its_floor() -> None:
    locked = pins((PROJECT / "requirements.lock").read_text())
    for requirement in declared():
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_the_lock_has_no_addresses() -> None:
    assert "://" not in (PROJECT / "requirements.lock").read_text()


@pytest.mark.parametrize(
    "lock", ["left-pad>=1", "left-pad==1.0", "--index" + "-url x", "x @ https://example.org/x.whl", "-e ."]
)
def test_what_is_not_pinned_is_found(lock: str) -> None:
    with pytest.raises(ValueError, match="not an exact version"):
        pins(lock)


def test_what_is_pinned_is_read() -> None:
    text = f"left_pad==1.0 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n    # via x\n"
    assert pins(text) == {"left-pad": Version("1.0")}


def test_a_missing_floor_is_found() -> None:
    assert without_floor([Requirement("x"), Requirement("y>=1"), Requirement("z<2")]) == ["x", "z"]
