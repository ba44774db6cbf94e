"""What the parts say: all of it into files of bounded size, and what matters onto the console."""

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from counterfoil.embedded.files import private_folder

_FILE_MAX_BYTES: Final = 8 * 1_024 * 1_024
_KEPT_FILES_COUNT: Final = 3
_STYLES: Final = {"info": "default", "warning": "yellow", "error": "red", "critical": "bold red"}
_IMPORTANT_LEVELS: Final = ("warning", "error", "critical")
_SHOWN_MAX_CHARACTERS: Final = 300
_TRACE_LINES_COUNT: Final = 8
_HIDDEN_FIELDS: Final = ("event", "level", "timestamp", "part", "logger", "exception")


class Screen(Console):
    """A console that may go away (a closed terminal, `| head`): it falls silent then, and the files have everything."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Rich would end the process here."""
        self.quiet = True


class Journal:
    """One folder with a file per part, `<part>.log`, of at most 8 MB and three older ones; and the screen."""

    def __init__(self, folder: Path, screen: Screen) -> None:
        self._folder = private_folder(folder)
        self._screen = screen
        self._files: dict[str, RotatingFileHandler] = {}

    def path(self, part: str) -> Path:
        return self._folder / f"{part}.log"

    def heard(self, part: str, line: str) -> None:
        """A line that a part wrote: kept, and shown where it is a warning or worse."""
        self._keep(part, line)
        level, text = readable(line)
        if is_important(level):
            self._show(part, level, text)

    def say(self, level: str, part: str, event: str, **fields: object) -> None:
        """A line of the supervisor's own about a part: kept as JSON in `supervisor.log`, and shown."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._keep("supervisor", json.dumps({"timestamp": now, "level": level, "part": part, "event": event, **fields}))
        self._show(part, level, event)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _keep(self, part: str, line: str) -> None:
        file = self._files.get(part)
        if file is None:
            file = RotatingFileHandler(
                self.path(part), maxBytes=_FILE_MAX_BYTES, backupCount=_KEPT_FILES_COUNT, encoding="utf-8"
            )
            self._files[part] = file
        file.emit(logging.makeLogRecord({"msg": line}))

    def _show(self, part: str, level: str, text: str) -> None:
        line = Text.assemble(
            (datetime.now().astimezone().strftime("%H:%M:%S "), "dim"),
            (f"{part:<12} ", "cyan"),
            (text, _STYLES.get(level, "red")),
        )
        self._screen.print(line, soft_wrap=True)


def readable(line: str) -> tuple[str, str]:
    """(level, text) of a line for a person: ours are JSON; Postgres, Valkey and tracebacks have forms of their own."""
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        entry = None
    if entry is None:
        return ("critical" if " PANIC: " in line else "info"), _shortened(line)
    fields = " ".join(f"{name}={value}" for name, value in entry.items() if name not in _HIDDEN_FIELDS)
    text = _shortened(f"{entry.get('event', '')} {fields}".strip())
    trace = [row for row in str(entry.get("exception", "")).splitlines() if row.strip()]
    return str(entry.get("level", "info")), "\n".join([text, *map(_shortened, trace[-_TRACE_LINES_COUNT:])])


def is_important(level: str) -> bool:
    """True for what is shown without being asked for."""
    return level in _IMPORTANT_LEVELS


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX_CHARACTERS else f"{text[:_SHOWN_MAX_CHARACTERS]} …"
