from __future__ import annotations

from queryside.api.category_tree import tree
from queryside.search.result import CategoryCount


def test_counts_everything_below_in_the_order_of_names() -> None:
    counts = [
        CategoryCount(path=("B",), count=1),
        CategoryCount(path=("A", "Z", "X"), count=2),
        CategoryCount(path=("A",), count=4),
        CategoryCount(path=("A", "C/D"), count=8),
    ]
    first, second = tree(counts).categories
    assert (first.name, first.path, first.count) == ("A", "A", 14)
    assert [(child.name, child.path, child.count) for child in first.children] == [
        ("C/D", "A/C~1D", 8),
        ("Z", "A/Z", 2),
    ]
    assert [child.path for child in first.children[1].children] == ["A/Z/X"]
    assert (second.name, second.count, second.children) == ("B", 1, [])


def test_of_nothing() -> None:
    assert tree([]).categories == []
