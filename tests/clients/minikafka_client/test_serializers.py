from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikafka_client.errors import SerializationError
from minikafka_client.serializers import (
    deserialize_json,
    deserialize_msgpack,
    deserialize_str,
    serialize,
    serialize_json,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.integers(0, 100), inner),
)
JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner),
)


@given(st.binary())
def test_bytes_of_any_kind_go_as_they_are(data: bytes) -> None:
    assert serialize(data) == serialize(bytearray(data)) == serialize(memoryview(data)) == data


@given(st.text())
def test_text_becomes_utf_8(text: str) -> None:
    assert serialize(text) == text.encode()


def test_none_stays_none() -> None:
    assert serialize(None) is None
    assert serialize_json(None) is None
    assert deserialize_json(None) is None
    assert deserialize_str(None) is None
    assert deserialize_msgpack(None) is None


@settings(max_examples=30)
@given(st.lists(PLAIN) | st.dictionaries(st.text(), PLAIN) | st.integers(-(2**63), 2**64 - 1))
def test_other_objects_come_back_from_msgpack(value: object) -> None:
    assert deserialize_msgpack(serialize(value)) == value


@settings(max_examples=30)
@given(JSON)
def test_objects_come_back_from_json(value: object) -> None:
    assert deserialize_json(serialize_json(value)) == value


@pytest.mark.parametrize("value", [object(), {1, 2}, 2**64])
def test_an_object_without_bytes_is_refused_by_name(value: object) -> None:
    with pytest.raises(SerializationError, match=type(value).__name__):
        serialize(value)
