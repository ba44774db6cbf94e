"""Who may import whom. import-linter follows the whole chain (`make imports`); this looks at each line."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.rules.sources import PACKAGES, Source, package_files, python_files

MAY_IMPORT = {
    "domain": ("domain",),
    "projections": ("projections", "domain.events", "domain.values", "domain.identity", "domain.errors"),
    "commandside": ("commandside", "domain"),
    "queryside": ("queryside", "projections"),
    "streams": ("streams", "projections", "commandside.event_store"),
    "counterfoil": PACKAGES,
}


def imported(source: Source) -> Iterator[str]:
    """The full name of each thing imported: `domain.events.Event` for `from domain.events import Event`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.path}: {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def under(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def forbidden_imports(source: Source) -> list[str]:
    allowed = MAY_IMPORT[source.package]
    return [
        f"{source.path} imports {name}"
        for name in imported(source)
        if name.split(".")[0] in PACKAGES and not under(name, allowed)
    ]


def test_each_package_imports_only_what_it_may() -> None:
    found = [line for source in package_files() for line in forbidden_imports(source)]
    assert not found, "\n".join(found)


def test_nobody_imports_the_composition_root() -> None:
    others = [source for source in package_files() if source.package != "counterfoil"]
    assert others
    assert [s.path for s in others if any(under(name, ("counterfoil",)) for name in imported(s))] == []


def test_every_import_is_absolute() -> None:
    relative = [
        f"{source.path}:{node.lineno}"
        for source in python_files()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("domain/x.py", "import projections"),
        ("projections/x.py", "from domain.aggregates.cart import Cart"),
        ("projections/x.py", "from domain import aggregates"),
        ("projections/x.py", "import commandside.event_store"),
        ("commandside/x.py", "from projections.recorded import Recorded"),
        ("queryside/x.py", "from domain.aggregates import Cart"),
        ("queryside/x.py", "def f():\n    import commandside"),
        ("streams/x.py", "from commandside.handlers import place"),
        ("streams/x.py", "from queryside.readers import Reader"),
        ("commandside/x.py", "from counterfoil.settings import Settings"),
    ],
)
def test_a_forbidden_import_is_found(path: str, text: str) -> None:
    assert len(forbidden_imports(Source(path, text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "from domain.events import order\nfrom domain import values\nimport domain.identity",
        "import projections.recorded\nimport json",
    ],
)
def test_an_allowed_import_is_not(text: str) -> None:
    assert forbidden_imports(Source("projections/x.py", text)) == []
