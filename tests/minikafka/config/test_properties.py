import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.config.properties import Property, parse_properties


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("a=b", [("a", "b")]),
        ("a = b c ", [("a", "b c ")]),
        ("a:b", [("a", "b")]),
        ("a b", [("a", "b")]),
        ("a", [("a", "")]),
        ("  a=b", [("a", "b")]),
        ("# a=b\n! c=d\n\n", []),
        ("a=b\\\n   c", [("a", "bc")]),
        ("a=b\\\\\nc=d", [("a", "b\\"), ("c", "d")]),
        ("a\\ b=c", [("a b", "c")]),
        ("a\\:b=c", [("a:b", "c")]),
        ("a=\\u00e9\\tx", [("a", "é\tx")]),
        ("a=b=c", [("a", "b=c")]),
        ("listeners=PLAINTEXT://:9092", [("listeners", "PLAINTEXT://:9092")]),
        ("a=b\r\nc=d\r\n", [("a", "b"), ("c", "d")]),
        ("a=1\na=2", [("a", "1"), ("a", "2")]),
        ("a=b\\", [("a", "b")]),
    ],
)
def test_entries_are_read_as_java_reads_them(text, entries):
    assert [(entry.key, entry.value) for entry in parse_properties(text)] == entries


def test_an_entry_knows_the_line_that_it_begins_on():
    assert parse_properties("# one\n\na=b\\\n c\nd=e") == [Property("a", "bc", 3), Property("d", "e", 5)]


@given(st.text())
def test_any_text_is_read(text):
    for entry in parse_properties(text):
        assert entry.line >= 1
