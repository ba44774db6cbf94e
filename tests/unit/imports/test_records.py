from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.imports import records
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.records import Record, Rejected, is_json_lines, read_csv, read_json_lines


def csv_of(folder: Path, content: bytes) -> list[Record | Rejected]:
    path = folder / "x.csv"
    path.write_bytes(content)
    return list(read_csv(path))


def outcome(found: list[Record | Rejected]) -> list[tuple[int, object]]:
    """Per record its line, and its values or the reason why it has none."""
    return [(each.line, each.values if isinstance(each, Record) else each.reason) for each in found]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_is_a_record_by_the_names_of_the_header(tmp_path: Path, start: bytes, end: bytes) -> None:
    found = csv_of(tmp_path, start + end.join([b"a,b", b'1,"x, y"', b"", b'2,"say ""so"""', b""]))
    assert outcome(found) == [(2, {"a": "1", "b": "x, y"}), (4, {"a": "2", "b": 'say "so"'})]


def test_a_quoted_field_may_go_over_several_lines(tmp_path: Path) -> None:
    found = csv_of(tmp_path, b'a,b\n1,"one\ntwo"\n2,x\n')
    assert outcome(found) == [(2, {"a": "1", "b": "one\ntwo"}), (4, {"a": "2", "b": "x"})]


def test_semicolons_and_tabs_are_understood(tmp_path: Path) -> None:
    assert outcome(csv_of(tmp_path, b"a;b\n1;2,5\n")) == [(2, {"a": "1", "b": "2,5"})]
    assert outcome(csv_of(tmp_path, b"a\tb\n1\t2\n")) == [(2, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"1", "1 columns where the header has 2"),
        (b"1,2,3", "3 columns where the header has 2"),
        (b"1,\xff", "not UTF-8: byte 3"),
        (b'1,"open', "a quote is not closed"),
        (b'1,"x"y', "broken quoting: ',' expected after '\"'"),
        (b"1," + b"x" * 140_000, "broken quoting: field larger than field limit (131072)"),
    ],
)
def test_a_bad_line_costs_itself_and_no_other(tmp_path: Path, bad: bytes, reason: str) -> None:
    found = csv_of(tmp_path, b"\n".join([b"a,b", b"0,0", bad, b"8,8", b"9,9", b""]))
    assert outcome(found) == [
        (2, {"a": "0", "b": "0"}),
        (3, reason),
        (4, {"a": "8", "b": "8"}),
        (5, {"a": "9", "b": "9"}),
    ]


def test_an_open_quote_that_a_later_one_closes_costs_its_own_line_only(tmp_path: Path) -> None:
    found = csv_of(tmp_path, b'a,b\n1,"open\n2,x\n3,"y"\n4,z\n')
    assert [each.line for each in found if isinstance(each, Rejected)] == [2]
    assert [each.line for each in found if isinstance(each, Record)] == [3, 4, 5]


def test_a_line_that_is_too_long_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LINE_LIMIT_BYTES", 64)
    found = csv_of(tmp_path, b"a,b\n1," + b"x" * 500 + b"\n2,y\n")
    assert outcome(found) == [(2, "longer than 64 bytes"), (3, {"a": "2", "b": "y"})]
    assert len(found[0].text) <= 200


@pytest.mark.parametrize("content", [b"", b"\na,b\n", b"a,a\n", b"\xff,b\n", b'"a,b\n'])
def test_without_a_header_there_is_nothing_to_read(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ImportStopped, match=r"x\.csv"):
        csv_of(tmp_path, content)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n")
    with pytest.raises(ImportStopped, match="lacks the columns c, d"):
        list(read_csv(path, required=("a", "c", "d")))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportStopped, match=r"nothing\.csv cannot be read: No such file"):
        list(read_csv(tmp_path / "nothing.csv"))


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n[1]\n{"a": \n\xff\n{"a": 2}')
    found = list(read_json_lines(path))
    assert [each.line for each in found if isinstance(each, Rejected)] == [3, 4, 5]
    assert [each.values for each in found if isinstance(each, Record)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.jsonl", b"", True),
        ("x.csv", b"{}", False),
        ("x", b'\xef\xbb\xbf {"a":1}', True),
        ("x.txt", b"sku,title\n", False),
    ],
)
def test_the_form_is_told_by_the_ending_or_else_by_the_beginning(
    tmp_path: Path, name: str, content: bytes, expected: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_json_lines(tmp_path / name) is expected


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    found = csv_of(tmp_path, "a,b\n1,x\u2028y\x85z\x0c!\n".encode())
    assert outcome(found) == [(2, {"a": "1", "b": "x\u2028y\x85z\x0c!"})]


_anything = st.binary(max_size=300) | st.text('a",\n\r', max_size=80).map(str.encode)


@given(_anything)
def test_whatever_is_in_a_file_every_line_is_accounted_for_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(b"a,b\n" + content)
    taken: list[int] = []
    for each in read_csv(path):
        count = each.text.count("\n") + 1 if isinstance(each, Record) else 1
        taken += range(each.line, each.line + count)
    lines = enumerate(content.split(b"\n"), start=2)
    not_blank = [number for number, line in lines if line.decode(errors="replace").strip()]
    assert taken == sorted(set(taken))
    assert set(not_blank) <= set(taken)
