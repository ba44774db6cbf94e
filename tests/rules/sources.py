"""The project's own files, as the rules see them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("domain", "commandside", "projections", "queryside", "streams", "counterfoil")
_NOT_OURS = frozenset({
    ".git", ".venv", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache",
    "__pycache__", "var", "build", "dist", "node_modules",
})  # fmt: skip
_TEXT = frozenset(
    {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".jsonl", ".csv", ".sql", ".sh", ".lock", ".cfg", ""}
)


@dataclass(frozen=True)
class Source:
    """One Python file: `path` relative to the project, with forward slashes."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def package(self) -> str:
        return self.path.split("/")[0]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@lru_cache(maxsize=1)
def python_files() -> tuple[Source, ...]:
    return tuple(Source(_relative(path), path.read_text()) for path in _files() if path.suffix == ".py")


def package_files() -> tuple[Source, ...]:
    """Of the product only: no tests, no tools."""
    return tuple(source for source in python_files() if source.package in PACKAGES)


def text_files() -> Iterator[tuple[str, str]]:
    for path in _files():
        if path.suffix in _TEXT:
            yield _relative(path), path.read_text(errors="replace")


def _files() -> Iterator[Path]:
    for folder, folders, names in os.walk(PROJECT):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS and not name.endswith(".egg-info"))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith(".coverage"))


def _relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()
