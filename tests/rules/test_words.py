"""What may not stand in any file: the paths of one person's machine, and the addresses of package registries."""

from __future__ import annotations

import re

import pytest

from tests.rules.sources import text_files

# In pieces, because this file is looked at too.
_HOMES = r"(?<![\w.])/(?:" + "|".join(("home", "root", "Users")) + r")/[\w.]"
_REGISTRIES = "|".join(
    re.escape(".".join(parts))
    for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("maven", "org"))
)
FORBIDDEN = re.compile(f"{_HOMES}|{_REGISTRIES}|--{'index'}-url|--{'extra'}-index|--{'trusted'}-host")


def forbidden_words(text: str) -> list[str]:
    return [match.group() for match in FORBIDDEN.finditer(text)]


def test_no_file_has_a_forbidden_word() -> None:
    found = {path: words for path, text in text_files() if (words := forbidden_words(text))}
    assert found == {}


def test_the_files_are_looked_at() -> None:
    paths = {path for path, _ in text_files()}
    assert {"README.md", "Makefile", ".ci/run", "pyproject.toml", "requirements.lock", "domain/events/base.py"} <= paths


@pytest.mark.parametrize(
    "text",
    [
        "see /" + "home/jane/notes",
        '"/' + 'root/.venv"',
        "/" + "Users/jane",
        "https://" + "pypi" + ".org/simple",
        "pip install --" + "index-url x",
        "https://files." + "pythonhosted" + ".org/x.whl",
    ],
)
def test_a_forbidden_word_is_found(text: str) -> None:
    assert len(forbidden_words(text)) == 1


@pytest.mark.parametrize("text", ["/v1/products", "the home page", "src/root/x", "domain/events", "example.org"])
def test_other_words_are_not(text: str) -> None:
    assert forbidden_words(text) == []
