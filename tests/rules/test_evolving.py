"""What applies an event neither refuses nor decides: it runs again on every replay, of what is years old too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from domain.events import EVENT_TYPES
from tests.rules.sources import Source, package_files

Function = ast.FunctionDef | ast.AsyncFunctionDef
TRIGGERS = frozenset({"_trigger", "trigger_event", "_start", "pending_events", "_pending_events", "collect_events"})
GUARD = re.compile(r"_?ensure")


def evolving(source: Source) -> Iterator[tuple[str, ast.ClassDef, Function]]:
    """The methods that apply events: the event's name, the aggregate, the method."""
    for aggregate in _classes(source):
        for method in _functions(aggregate):
            for decorator in method.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "evolves":
                    yield ast.unparse(decorator.args[0]).split(".")[-1], aggregate, method


def deciding(source: Source) -> list[str]:
    """Where an event is applied and something raises, guards or triggers, there or in what is called from there."""
    found = {
        f"{source.path}:{line} {aggregate.name}.{method.name} {what}"
        for _, aggregate, method in evolving(source)
        for function in _reached(source, aggregate, method)
        for line, what in _decisions(function)
    }
    return sorted(found)


def _decisions(function: Function) -> Iterator[tuple[int, str]]:
    for node in ast.walk(function):
        match node:
            case ast.Raise() | ast.Assert():
                yield node.lineno, "raises"
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in TRIGGERS:
                yield node.lineno, f"triggers, by {name}"
            case ast.Attribute(attr=name) | ast.Name(id=name) if GUARD.match(name):
                yield node.lineno, f"guards, by {name}"


def _reached(source: Source, aggregate: ast.ClassDef, method: Function) -> list[Function]:
    """The method, and what of its class and its module it uses, properties included, and what that uses."""
    of_class = {function.name: function for function in _functions(aggregate)}
    of_module = {function.name: function for function in _functions(source.tree)}
    reached = [method]
    for function in reached:
        for node in ast.walk(function):
            match node:
                case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in ("self", "cls", aggregate.name):
                    used = of_class.get(name)
                case ast.Name(id=name):
                    used = of_module.get(name)
                case _:
                    used = None
            if used is not None and used not in reached:
                reached.append(used)
    return reached


def _classes(source: Source) -> list[ast.ClassDef]:
    return [node for node in source.tree.body if isinstance(node, ast.ClassDef)]


def _functions(parent: ast.Module | ast.ClassDef) -> list[Function]:
    return [node for node in parent.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def aggregates() -> list[Source]:
    return [source for source in package_files() if source.path.startswith("domain/aggregates/")]


def test_what_applies_an_event_decides_nothing() -> None:
    found = [line for source in aggregates() for line in deciding(source)]
    assert not found, "\n".join(found)


def test_every_event_is_looked_at() -> None:
    looked_at = sorted(event for source in aggregates() for event, _, _ in evolving(source))
    assert looked_at == sorted(event_class.__name__ for event_class in EVENT_TYPES.values())


AGGREGATE = """
def _positive(quantity):
    if quantity < 1:
        raise RuleBroken

def _counted(items):
    return len(items)

class Shelf(EventSourced):
    def receive(self, quantity, cause):
        _positive(quantity)
        self._trigger(Received, cause, quantity=quantity)

    @property
    def room(self):
        assert self.units < 10
        return 10 - self.units

    def _note(self, event):
        self.noted = _counted(event.items)
        self._end(event)

    def _end(self, event):
        raise ReservationEnded

    @evolves(Received)
    def _received(self, event):
        {body}
"""


@pytest.mark.parametrize(
    "body",
    [
        "raise RuleBroken",
        "assert event.quantity > 0",
        "if event.quantity < 1: raise ValueError",
        "_positive(event.quantity)",
        "self._note(event)",
        "list(map(self._end, [event]))",
        "self.units = self.room",
        "self.ensure_sold()",
        "_ensure_positive(event.quantity)",
        "self._trigger(Sold, cause)",
        "other._trigger(Sold, cause)",
        "self.trigger_event(Sold)",
        "self.receive(1, cause)",
        "self.pending_events.append(event)",
    ],
)
def test_a_decision_is_found(body: str) -> None:
    assert deciding(Source("domain/aggregates/shelf.py", AGGREGATE.replace("{body}", body))) != []


@pytest.mark.parametrize(
    "body", ["self.units += event.quantity", "self.units = _counted(event.items)", "self.by[event.sku] = self.units"]
)
def test_what_only_applies_is_not(body: str) -> None:
    assert deciding(Source("domain/aggregates/shelf.py", AGGREGATE.replace("{body}", body))) == []
