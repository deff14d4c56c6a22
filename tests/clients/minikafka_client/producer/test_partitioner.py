from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from minikafka_client.producer.partitioner import RoundRobinPartitioner, StickyPartitioner, murmur2, partition_for_key


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_what_java_gives(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


@given(st.binary(max_size=100))
def test_murmur2_gives_what_aiokafka_gives(key: bytes) -> None:
    assert murmur2(key) == aiokafka_murmur2(key) & 0xFFFFFFFF


@given(st.binary(max_size=50), st.integers(1, 1000))
def test_a_key_always_goes_to_the_same_partition(key: bytes, partition_count: int) -> None:
    partitioner = RoundRobinPartitioner()
    chosen = partitioner.partition("orders", key, partition_count)
    assert 0 <= chosen < partition_count
    assert partitioner.partition("other", key, partition_count) == chosen == partition_for_key(key, partition_count)


def test_records_without_a_key_go_to_each_partition_in_turn() -> None:
    partitioner = RoundRobinPartitioner()
    chosen = [partitioner.partition("orders", None, 3) for _ in range(6)]
    assert sorted(chosen[:3]) == [0, 1, 2]
    assert chosen[:3] == chosen[3:]


def test_each_topic_has_turns_of_its_own() -> None:
    partitioner = RoundRobinPartitioner()
    chosen = []
    for _ in range(4):
        chosen.append(partitioner.partition("orders", None, 2))
        partitioner.partition("other", None, 2)
    assert chosen[0] == chosen[2] != chosen[1] == chosen[3]


def test_turns_taken_together_are_those_taken_one_by_one() -> None:
    partitioner = RoundRobinPartitioner()
    first = partitioner.take_turns("orders", 5)
    assert partitioner.take_turns("orders", 1) == first + 5
    assert partitioner.partition("orders", None, 4) == (first + 6) % 4


def test_a_sticky_partitioner_moves_on_when_its_own_batch_leaves() -> None:
    partitioner = StickyPartitioner()
    chosen = partitioner.partition("orders", None, 3)
    assert {partitioner.partition("orders", None, 3) for _ in range(20)} == {chosen}
    partitioner.batch_closed("orders", (chosen + 1) % 3)
    assert partitioner.partition("orders", None, 3) == chosen
    partitioner.batch_closed("orders", chosen)
    assert partitioner.partition("orders", None, 3) != chosen


def test_a_sticky_partitioner_leaves_a_partition_that_is_gone_and_keeps_the_only_one() -> None:
    partitioner = StickyPartitioner()
    while partitioner.partition("orders", None, 3) == 0:
        partitioner.batch_closed("orders", 0)
    assert partitioner.partition("orders", None, 1) == 0
    partitioner.batch_closed("orders", 0)
    assert partitioner.partition("orders", None, 1) == 0


@given(st.binary(max_size=20), st.integers(1, 12))
def test_a_sticky_partitioner_sends_keys_where_the_default_does(key: bytes, partition_count: int) -> None:
    assert StickyPartitioner().partition("orders", key, partition_count) == partition_for_key(key, partition_count)


def test_remembered_keys_do_not_grow_without_end() -> None:
    partitioner = RoundRobinPartitioner()
    for number in range(70_000):
        partitioner.partition("orders", b"%d" % number, 7)
    assert len(partitioner._hashes) <= 65_536
