"""Who runs which tests: slow ones first, and nothing that is named is missing."""

from __future__ import annotations

import pytest

from tests.distribution import APART, FOLDERS, SLOW, slow_first, unit_of
from tests.rules.sources import PROJECT

FILES = {
    "tests/unit/test_few": "def test_one(): pass",
    "tests/unit/test_long": "import pytest\ndef test_one(): pass\n@pytest.mark.long\ndef test_two(): pass",
    "tests/simulation/test_one": "def test_one(): pass",
    "tests/integration/test_one": "def test_one(): pass",
}


def test_what_is_named_is_there() -> None:
    assert [name for name in SLOW | APART if not (PROJECT / name).is_file()] == []
    assert [name for name in FOLDERS if not (PROJECT / "tests" / name).is_dir()] == []


def test_every_folder_of_tests_has_its_place() -> None:
    folders = {path.relative_to(PROJECT / "tests").parts[0] for path in (PROJECT / "tests").rglob("test_*.py")}
    assert folders <= set(FOLDERS)


def test_the_slow_come_first_and_a_file_stays_whole(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\nmarkers = long: takes minutes\naddopts = --import-mode=importlib\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    for name, text in FILES.items():
        path = pytester.path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    items, _ = pytester.inline_genitems()

    assert [item.nodeid for item in slow_first(items)] == [
        "tests/unit/test_long.py::test_one",
        "tests/unit/test_long.py::test_two",
        "tests/simulation/test_one.py::test_one",
        "tests/integration/test_one.py::test_one",
        "tests/unit/test_few.py::test_one",
    ]


def test_of_a_file_whose_tests_share_nothing_each_is_a_unit() -> None:
    apart = min(APART)
    assert unit_of(f"{apart}::test_one[a::b]") == f"{apart}::test_one[a::b]"
    assert unit_of("tests/unit/test_few.py::TestIt::test_one") == "tests/unit/test_few.py"
