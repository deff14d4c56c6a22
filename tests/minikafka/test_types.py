from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.types import (
    ZERO_UUID,
    TopicPartition,
    is_legal_topic_name,
    new_uuid,
    uuid_from_text,
    uuid_text,
)


@given(st.binary(min_size=16, max_size=16))
def test_a_uuid_is_read_back_from_its_text(value: bytes) -> None:
    text = uuid_text(value)
    assert len(text) == 22
    assert uuid_from_text(text) == value


@pytest.mark.parametrize("text", ["", "abc", "A" * 21, "A" * 26, "not base64 at all!!!!"])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|base64|Base64|padding|16"):
        uuid_from_text(text)


def test_new_ids_differ_and_can_stand_on_a_command_line() -> None:
    made = {new_uuid() for _ in range(500)}
    assert len(made) == 500
    assert ZERO_UUID not in made
    assert not any(uuid_text(value).startswith("-") for value in made)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "...", "__consumer_offsets"])
def test_legal_topic_names(name: str) -> None:
    assert is_legal_topic_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 250, "a b", "a/b", "../x", "a\0b", "a\n", "ä", "\u0430pple"])
def test_illegal_topic_names(name: str) -> None:
    assert not is_legal_topic_name(name)


def test_a_partition_is_printed_as_its_directory_is_named() -> None:
    assert str(TopicPartition("orders", 3)) == "orders-3"
