"""Small files of one subject, each under a name that says which."""

from __future__ import annotations

import pytest

from tests.rules.sources import PACKAGES, PROJECT, Source, python_files

GENERIC = frozenset({
    "base_utils", "common", "core", "func", "functions", "general", "helper", "helpers", "lib", "manager", "managers",
    "misc", "shared", "stuff", "tools", "util", "utilities", "utils",
})  # fmt: skip
LINES_COUNT_MAX = 400


def generic_parts(source: Source) -> list[str]:
    """The parts of a module's name that could stand anywhere, and so say nothing."""
    return [
        part
        for part in source.module.split(".")
        if part in GENERIC or part.endswith(("_utils", "_helpers", "_manager", "_helper"))
    ]


def lines_count(source: Source) -> int:
    return len(source.text.splitlines())


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [source.path for source in python_files() if generic_parts(source)] == []


def test_no_file_is_too_long_for_one_subject() -> None:
    long = {source.path: lines_count(source) for source in python_files() if lines_count(source) > LINES_COUNT_MAX}
    assert long == {}


def test_there_are_no_further_importable_names() -> None:
    """A generic name at the top level would meet a library's one day."""
    ours = {*PACKAGES, "tests", "bench", "ops"}
    found = {folder.parent.name for folder in PROJECT.glob("*/__init__.py")}
    assert found <= ours
    assert [path.name for path in PROJECT.glob("*.py")] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed_and_in_the_readme(package: str) -> None:
    assert (PROJECT / package / "py.typed").is_file()
    assert f"{package}/" in (PROJECT / "README.md").read_text()


@pytest.mark.parametrize("path", ["domain/utils.py", "commandside/helpers/x.py", "streams/task_manager.py"])
def test_a_generic_name_is_found(path: str) -> None:
    assert generic_parts(Source(path, "")) != []


@pytest.mark.parametrize("path", ["domain/values/money.py", "commandside/event_store/__init__.py"])
def test_a_name_of_the_field_is_not(path: str) -> None:
    assert generic_parts(Source(path, "")) == []


def test_a_long_file_is_found() -> None:
    assert lines_count(Source("x.py", "x = 1\n" * (LINES_COUNT_MAX + 1))) > LINES_COUNT_MAX
