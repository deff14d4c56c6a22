from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given, settings
from hypothesis import strategies as st

from minikafka_client.producer.partitioner import RoundRobinPartitioner, murmur2, partition_for_key


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


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_murmur2_gives_what_aiokafka_gives(key: bytes) -> None:
    assert murmur2(key) == aiokafka_murmur2(key) & 0xFFFFFFFF


@settings(deadline=None)
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


def test_remembered_keys_do_not_grow_without_end() -> None:
    partitioner = RoundRobinPartitioner()
    for number in range(70_000):
        partitioner.partition("orders", b"%d" % number, 7)
    assert len(partitioner._hashes) <= 65_536
