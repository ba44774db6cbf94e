"""What a run found: medians over its rounds, for people and for programs."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table


class Report:
    """Figures are medians of the rounds, counts are sums over them; a ratio is that of two medians.

    Names are `<benchmark>.<what>`; a figure's name ends in its unit.
    """

    def __init__(self) -> None:
        self._measured: dict[str, list[float]] = defaultdict(list)
        self._counts: dict[str, int] = defaultdict(int)
        self._ratios: dict[str, float] = {}

    def measure(self, name: str, value: float) -> None:
        """One round's value of a figure."""
        self._measured[name].append(value)

    def count(self, name: str, number: int) -> None:
        self._counts[name] += number

    def ratio(self, name: str, above: str, below: str) -> None:
        """Of two figures, when all rounds are done."""
        self._ratios[name] = self.figure(above) / self.figure(below)

    def figure(self, name: str) -> float:
        return median(self._measured[name])

    def as_json(self) -> str:
        found = {
            "ratios": {name: round(value, 3) for name, value in self._ratios.items()},
            "figures": {name: round(self.figure(name), 4) for name in self._measured},
            "counts": dict(self._counts),
        }
        return json.dumps(found, indent=2) + "\n"

    def write(self, path: Path) -> None:
        path.write_text(self.as_json(), encoding="utf-8")

    def show(self, console: Console) -> None:
        figures = Table("figure", "median", "lowest", "highest", title="Figures")
        for name, values in self._measured.items():
            figures.add_row(name, *(_readable(value) for value in (median(values), min(values), max(values))))
        counts = Table("count", "over all rounds", title="Counts")
        for name, number in self._counts.items():
            counts.add_row(name, f"{number:,}")
        ratios = Table("ratio", "", title="Ratios")
        for name, value in self._ratios.items():
            ratios.add_row(name, f"{value:.2f}")
        for table in (figures, counts, ratios):
            for column in table.columns[1:]:
                column.justify = "right"
            console.print(table)


def _readable(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"
