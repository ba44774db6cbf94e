"""Files line by line, such that a line that cannot be read costs that line and no other."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from counterfoil.imports.errors import ImportStopped

LINE_LIMIT_BYTES: Final = 1_048_576
RECORD_LIMIT_LINES: Final = 200  # of one CSV record, whose quoted fields may go over several lines
_BOM: Final = b"\xef\xbb\xbf"
_UNCLOSED: Final = "unexpected end of data"


@dataclass(frozen=True, slots=True)
class Record:
    """`line` is the number of its first line in the file, from 1; `text` is as it stands there."""

    line: int
    text: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    fault: str | None = None


def read_csv(path: Path, *, required: Sequence[str] = ()) -> Iterator[Record | Rejected]:
    """Records by the names in the header; blank lines are passed over. UTF-8, with or without a byte order mark.

    Raises ImportStopped where the file cannot be read, or its header lacks one of the `required` columns.
    """
    with _opened(path) as file:
        lines = _Lines(file)
        header, delimiter = _header(path, lines)
        missing = [name for name in required if name not in header]
        if missing:
            raise ImportStopped(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(header)}.")
        while (line := lines.take()) is not None:
            if line.fault is not None:
                yield Rejected(line.number, line.fault, line.text)
            elif line.text.strip():
                yield _record(line, lines, header, delimiter)


def csv_header(path: Path) -> list[str]:
    """The names of the columns. Raises ImportStopped."""
    with _opened(path) as file:
        return _header(path, _Lines(file))[0]


def read_json_lines(path: Path) -> Iterator[Record | Rejected]:
    """An object a line; blank lines are passed over. Raises ImportStopped where the file cannot be read."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with _opened(path) as file:
        lines = _Lines(file)
        while (line := lines.take()) is not None:
            if line.fault is not None:
                yield Rejected(line.number, line.fault, line.text)
            elif line.text.strip():
                try:
                    yield Record(line.number, line.text, decode(line.text))
                except (msgspec.MsgspecError, RecursionError) as error:
                    yield Rejected(line.number, f"not a JSON object: {error}", line.text)


def is_json_lines(path: Path) -> bool:
    """By the ending, or else by the first character that is not blank. Raises ImportStopped."""
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return True
    if path.suffix.lower() == ".csv":
        return False
    with _opened(path) as file:
        return file.read(LINE_LIMIT_BYTES).removeprefix(_BOM).lstrip().startswith(b"{")


def count_lines(path: Path) -> int:
    """Raises ImportStopped."""
    with _opened(path) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(LINE_LIMIT_BYTES), b""))


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ImportStopped(f"{path} cannot be read: {error.strerror}.") from error


class _Lines:
    """The lines of a file, which can be put back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._put_back: deque[_Line] = deque(maxlen=RECORD_LIMIT_LINES)

    def take(self) -> _Line | None:
        if self._put_back:
            return self._put_back.popleft()
        raw = self._file.readline(LINE_LIMIT_BYTES)
        if not raw:
            return None
        self._number += 1
        too_long = self._skip_rest(raw)
        if self._number == 1:
            raw = raw.removeprefix(_BOM)
        raw = raw.rstrip(b"\r\n")
        if too_long:
            return _Line(self._number, raw[:200].decode(errors="replace"), f"longer than {LINE_LIMIT_BYTES} bytes")
        try:
            return _Line(self._number, raw.decode())
        except UnicodeDecodeError as error:
            return _Line(self._number, raw.decode(errors="backslashreplace"), f"not UTF-8: byte {error.start + 1}")

    def put_back(self, lines: Sequence[_Line]) -> None:
        self._put_back.extendleft(reversed(lines))

    def _skip_rest(self, raw: bytes) -> bool:
        too_long = len(raw) == LINE_LIMIT_BYTES and not raw.endswith(b"\n")
        while len(raw) == LINE_LIMIT_BYTES and not raw.endswith(b"\n"):
            raw = self._file.readline(LINE_LIMIT_BYTES)
        return too_long


def _header(path: Path, lines: _Lines) -> tuple[list[str], str]:
    line = lines.take()
    if line is None or line.fault is not None or not line.text.strip():
        raise ImportStopped(f"{path} has no header: {'it is empty' if line is None else line.fault or 'a blank line'}.")
    delimiter = max(",;\t", key=line.text.count)
    try:
        header = [name.strip() for name in next(csv.reader([line.text], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise ImportStopped(f"{path}: the header cannot be read: {error}.") from error
    if len(set(header)) < len(header):
        raise ImportStopped(f"{path}: a column is there twice: {', '.join(header)}.")
    return header, delimiter


def _record(first: _Line, lines: _Lines, header: list[str], delimiter: str) -> Record | Rejected:
    taken: list[_Line] = []
    text = first.text
    while True:
        try:
            fields = next(csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True))
        except csv.Error as error:
            if str(error) == _UNCLOSED and len(taken) + 1 < RECORD_LIMIT_LINES:
                line = lines.take()
                if line is not None:
                    taken.append(line)
                    if line.fault is None:
                        text += f"\n{line.text}"
                        continue
            reason = "a quote is not closed" if str(error) == _UNCLOSED else f"broken quoting: {error}"
            break
        if len(fields) == len(header):
            return Record(first.number, text, dict(zip(header, fields, strict=True)))
        reason = f"{len(fields)} columns where the header has {len(header)}"
        break
    # An open quote may have swallowed lines that are well: they are read again, each for itself.
    lines.put_back(taken)
    return Rejected(first.number, "a quote is not closed" if taken else reason, first.text)
