from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.storage import filenames
from minikafka.types import TopicPartition

TOPICS = st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True).filter(lambda name: name not in {".", ".."})


def test_segment_names_are_kafkas() -> None:
    assert filenames.segment_file(1200, ".log") == "00000000000000001200.log"


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_segment_names_sort_as_their_offsets(one: int, other: int) -> None:
    names = filenames.segment_file(one, ".log"), filenames.segment_file(other, ".log")
    assert (names[0] < names[1]) == (one < other)
    assert filenames.base_offset_of(names[0]) == one


@pytest.mark.parametrize("name", ["x.log", "0.log", "0000000000000000000a.log", "leader-epoch-checkpoint", ""])
def test_other_names_have_no_base_offset(name: str) -> None:
    assert filenames.base_offset_of(name) is None


@given(TOPICS, st.integers(0, 2**31 - 1))
def test_partition_directories_are_read_back(topic: str, partition: int) -> None:
    tp = TopicPartition(topic, partition)
    assert filenames.parse_partition_directory(filenames.partition_directory(tp)) == tp


@pytest.mark.parametrize("name", ["topic", "-0", "topic-", "topic-x", "topic-01", "topic-+1", "a b-0", "..-0", "t-٣"])
def test_other_directories_are_no_partitions(name: str) -> None:
    assert filenames.parse_partition_directory(name) is None


@given(TOPICS, st.integers(0, 99), st.binary(min_size=16, max_size=16))
def test_a_deleted_directory_is_never_taken_for_a_partition(topic: str, partition: int, unique: bytes) -> None:
    name = filenames.deleted_directory(TopicPartition(topic, partition), unique)
    assert len(name) <= 255
    assert filenames.is_deleted_directory(name)
    assert filenames.parse_partition_directory(name) is None


@given(TOPICS, st.integers(0, 99))
def test_a_partition_is_never_taken_for_a_deleted_one(topic: str, partition: int) -> None:
    assert not filenames.is_deleted_directory(filenames.partition_directory(TopicPartition(topic, partition)))
