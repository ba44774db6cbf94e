from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from queryside.search.category_path import format_path
from queryside.search.result import CategoryCount


class Category(BaseModel):
    """`path` is what `category` of a search and /v1/categories/{path} take; `count` includes everything below."""

    name: str
    path: str
    count: int
    children: list[Category]


class Categories(BaseModel):
    categories: list[Category]


def tree(counts: Iterable[CategoryCount]) -> Categories:
    """Siblings in the order of their names."""
    root = Category(name="", path="", count=0, children=[])
    nodes: dict[tuple[str, ...], Category] = {(): root}
    for found in sorted(counts, key=lambda found: found.path):
        for depth in range(1, len(found.path) + 1):
            path = found.path[:depth]
            if path not in nodes:
                nodes[path] = Category(name=path[-1], path=format_path(path), count=0, children=[])
                nodes[path[:-1]].children.append(nodes[path])
            nodes[path].count += found.count
    return Categories(categories=root.children)
