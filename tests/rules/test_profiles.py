"""The test runner's own rules: what is long, what is skipped, and that nobody is told green when it was not run."""

from __future__ import annotations

import pytest

TESTS = """
import pytest

def test_short(): pass

@pytest.mark.long
def test_long(): pass
"""

SKIPPED = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="no server")
def test_skipped(): pass
"""

MODULE_SKIPPED = """
import pytest
pytest.skip("no server", allow_module_level=True)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for variable in ("COUNTERFOIL_TEST_PROFILE", "COUNTERFOIL_TEST_REQUIRE_ALL"):
        monkeypatch.delenv(variable, raising=False)
    pytester.makeini("[pytest]\nmarkers =\n    long: takes minutes\n")
    return pytester


def run(project: pytest.Pytester) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "tests.profiles", "-p", "no:cacheprovider", "-ra", timeout=60)


def test_the_short_profile_leaves_long_tests_out_and_says_so(project: pytest.Pytester) -> None:
    project.makepyfile(TESTS)
    run(project).assert_outcomes(passed=1, deselected=1)


def test_the_long_profile_runs_them(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_TEST_PROFILE", "long")
    project.makepyfile(TESTS)
    run(project).assert_outcomes(passed=2)


def test_an_unknown_profile_is_refused(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_TEST_PROFILE", "tiny")
    project.makepyfile(TESTS)
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*COUNTERFOIL_TEST_PROFILE=tiny*"])


def test_a_skip_is_named_with_its_reason(project: pytest.Pytester) -> None:
    project.makepyfile(SKIPPED)
    result = run(project)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*no server*"])


@pytest.mark.parametrize("tests", [SKIPPED, MODULE_SKIPPED], ids=["test", "module"])
def test_where_everything_is_required_a_skip_is_a_failure(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tests: str
) -> None:
    monkeypatch.setenv("COUNTERFOIL_TEST_REQUIRE_ALL", "1")
    project.makepyfile(tests)
    result = run(project)
    assert result.ret != pytest.ExitCode.OK
    assert result.parseoutcomes().get("errors", 0) == 1
    assert "skipped" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["*nothing may be*no server*"])
