from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.cli.exits import Failure
from minikafka.cli.sources import InputError, InputRecord, format_of, from_csv, from_json_lines, from_lines

FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("a.csv", "csv"),
        ("a.TSV", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.txt", "lines"),
        ("a", "lines"),
    ],
)
def test_a_suffix_promises_a_format(name: str, format_name: str) -> None:
    assert format_of(Path(name)) == format_name


def test_standard_input_is_lines() -> None:
    assert format_of(None) == "lines"


def lines(text: bytes, key: bytes | None = None, separator: bytes | None = None) -> list[InputRecord]:
    return list(from_lines(io.BytesIO(text), key=key, separator=separator))


def test_lines_lose_only_their_ends() -> None:
    assert lines(b"a\n b \r\n\nlast") == [(None, b"a"), (None, b" b "), (None, b""), (None, b"last")]


def test_bytes_that_are_no_text_pass_through() -> None:
    assert lines(b"\xff\xfe\x00\n", key=b"k") == [(b"k", b"\xff\xfe\x00")]


def test_a_separator_splits_at_its_first_place() -> None:
    assert lines(b"k:v:w\n:v\nk:\n", separator=b":") == [(b"k", b"v:w"), (b"", b"v"), (b"k", b"")]


def test_a_line_without_the_separator_is_named() -> None:
    with pytest.raises(InputError, match="line 2: there is no '::'"):
        lines(b"a::b\nc:d\n", separator=b"::")


def rows(
    text: bytes, key: bytes | None = None, key_column: str | None = None, delimiter: str = ","
) -> list[InputRecord]:
    return list(from_csv(io.BytesIO(text), key=key, key_column=key_column, delimiter=delimiter))


def test_a_row_becomes_an_object_of_strings_keyed_by_a_column() -> None:
    records = rows(b'carrier,flight\nUA,1545\n"B6","7,25"\n', key_column="carrier")
    assert records == [
        (b"UA", b'{"carrier": "UA", "flight": "1545"}'),
        (b"B6", b'{"carrier": "B6", "flight": "7,25"}'),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert rows(b"\xef\xbb\xbfa\n1\n", key_column="a") == [(b"1", b'{"a": "1"}')]


def test_tabs_separate_where_they_are_asked_for() -> None:
    assert rows(b"a\tb\n1\t2\n", delimiter="\t") == [(None, b'{"a": "1", "b": "2"}')]


def test_an_empty_file_has_no_rows_and_empty_lines_are_none() -> None:
    assert rows(b"") == []
    assert rows(b"a,b\n\n1,2\n") == [(None, b'{"a": "1", "b": "2"}')]


def test_a_percent_sign_in_a_column_name_is_only_text() -> None:
    assert rows(b"100%s,%\n1,2\n") == [(None, b'{"100%s": "1", "%": "2"}')]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 fields, and the first line names 2"),
        (b"a,b\n1\n", "line 2: 1 fields"),
        (b"a\n\xff\n", "not UTF-8"),
    ],
)
def test_a_row_that_does_not_fit_is_named(text: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        rows(text)


def test_an_unknown_key_column_names_those_there_are() -> None:
    with pytest.raises(Failure, match="no column 'c'; the columns are a, b"):
        rows(b"a,b\n1,2\n", key_column="c")


@given(header=st.lists(FIELDS, min_size=2, max_size=5, unique=True), data=st.data())
def test_every_field_of_a_csv_file_arrives(header: list[str], data: st.DataObject) -> None:
    width = len(header)
    table = data.draw(st.lists(st.lists(FIELDS, min_size=width, max_size=width), max_size=5))
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, *table])
    records = rows(text.getvalue().encode(), key_column=header[0])
    assert [json.loads(record.value) for record in records] == [dict(zip(header, row, strict=True)) for row in table]
    assert [record.key for record in records] == [row[0].encode() for row in table]


def objects(text: bytes, key: bytes | None = None, key_column: str | None = None) -> list[InputRecord]:
    return list(from_json_lines(io.BytesIO(text), key=key, key_column=key_column))


def test_json_lines_stay_as_they_are() -> None:
    assert objects(b'{"b":1,  "a":2}\n\n [1]\n') == [(None, b'{"b":1,  "a":2}'), (None, b"[1]")]


def test_a_field_is_the_key_text_as_text_and_the_rest_as_json() -> None:
    text = b'{"k": "x"}\n{"k": 7}\n{"k": null}\n{"k": {"a": "\xc3\xa4"}}\n'
    keys = [record.key for record in objects(text, key_column="k")]
    assert keys == [b"x", b"7", None, '{"a": "ä"}'.encode()]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"k": 1}\n{"k": \n', "line 2: not JSON"),
        (b"\xff\n", "line 1: not JSON"),
        (b'{"j": 1}\n', "line 1: there is no field 'k'"),
        (b'"k"\n', "line 1: there is no field 'k'"),
    ],
)
def test_a_line_that_does_not_fit_is_named(text: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        objects(text, key_column="k")
