"""Files that are written beside the input, or elsewhere where that cannot be."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.records import Rejected


def write_beside(source: Path, ending: str, text: str) -> Path:
    """Write `<source><ending>`; where that cannot be, in the working or the temporary folder. Returns where it is.

    Raises ImportStopped where none of them can be written.
    """
    failure: OSError | None = None
    for folder in (source.parent, Path.cwd(), Path(tempfile.gettempdir())):
        target = folder / f"{source.name}{ending}"
        try:
            target.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            failure = failure or error
        else:
            return target
    raise ImportStopped(f"Nowhere to write {source.name}{ending}: {failure}") from failure


def write_rejected(source: Path, rejected: Sequence[Rejected], say: Callable[[str], None]) -> Path | None:
    """Write `<source>.rejected.csv` (line, reason, text) and say where it is; without any, take an old one away."""
    if not rejected:
        _remove(source.with_name(f"{source.name}.rejected.csv"), say)
        return None
    path = write_beside(source, ".rejected.csv", _as_csv((each.line, each.reason, each.text) for each in rejected))
    note = "" if path.parent == source.parent else f" ({source.parent} cannot be written)"
    say(f"{len(rejected)} lines were rejected: see {path}{note}")
    return path


def _remove(path: Path, say: Callable[[str], None]) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        say(f"{path} is of an earlier run, and cannot be removed: {error.strerror}")


def _as_csv(rows: Iterable[tuple[object, ...]]) -> str:
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow(("line", "reason", "text"))
    writer.writerows(rows)
    return "".join(lines.written)


class _Lines:
    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)
