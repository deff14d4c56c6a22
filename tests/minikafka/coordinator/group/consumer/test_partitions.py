from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.consumer.partitions import (
    NO_PARTITIONS,
    TopicIdPartition,
    common,
    each,
    from_record,
    gather,
    is_within,
    minus,
    overlap,
    to_record,
    union,
)

A, B = bytes(15) + b"a", bytes(15) + b"b"

sets_of_pairs = st.sets(st.builds(TopicIdPartition, st.sampled_from([A, B]), st.integers(0, 4)))


@given(sets_of_pairs, sets_of_pairs)
def test_they_are_sets_of_pairs(some: set[TopicIdPartition], others: set[TopicIdPartition]) -> None:
    mine, theirs = gather(some), gather(others)
    assert set(each(mine)) == some
    assert common(mine, theirs) == gather(some & others)
    assert minus(mine, theirs) == gather(some - others)
    assert union(mine, theirs) == gather(some | others)
    assert overlap(mine, theirs) is bool(some & others)
    assert is_within(mine, theirs) is (some <= others)


@given(sets_of_pairs)
def test_what_is_read_from_a_record_is_what_was_written(pairs: set[TopicIdPartition]) -> None:
    assert from_record(to_record(gather(pairs))) == gather(pairs)


def test_records_are_in_order() -> None:
    written = to_record({B: frozenset({9, 1}), A: frozenset({3})})
    assert [(topic.topic_id, topic.partitions) for topic in written] == [(A, [3]), (B, [1, 9])]


def test_equal_sets_are_equal_mappings() -> None:
    some = {A: frozenset({1}), B: frozenset({2})}
    assert minus(some, {A: frozenset({1})}) == {B: frozenset({2})}
    assert minus(some, some) == NO_PARTITIONS == common(some, {})
