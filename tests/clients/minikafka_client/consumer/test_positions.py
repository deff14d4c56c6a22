from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.types import TopicPartition
from minikafka_client.consumer.chunk import Chunk
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.positions import Assignment, PartitionState, Start

ORDERS = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)


def state_with(offsets: list[int], end_offset: int) -> PartitionState:
    state = PartitionState(ORDERS, Start.EARLIEST)
    state.seek(offsets[0] if offsets else 0)
    state.set_messages([Message("orders", 0, offset, 0, None, None) for offset in offsets], end_offset)
    return state


def test_a_new_partition_has_no_position() -> None:
    state = PartitionState(ORDERS, Start.LATEST)
    assert not state.has_position
    assert state.lag is None


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30), st.lists(st.integers(1, 7), min_size=30, max_size=30))
def test_the_position_is_always_after_the_last_message_handed_out(gaps: list[int], takes: list[int]) -> None:
    offsets = [sum(gaps[:index]) for index in range(len(gaps))]
    end_offset = offsets[-1] + 5
    state = state_with(offsets, end_offset)
    taken: list[int] = []
    for count in takes:
        if not state.has_messages:
            break
        if count == 1:
            message = next(state.decoded, None)
            assert message is not None
            taken.append(message.offset)
        else:
            taken += [message.offset for message in state.take(count)]
        assert state.position == (taken[-1] + 1 if len(taken) < len(offsets) else end_offset)
    assert taken == offsets[: len(taken)]


def test_a_partition_may_be_behind_unless_all_that_can_be_read_was_fetched() -> None:
    state = state_with([5], 6)
    assert state.may_be_behind, "nothing is known yet"
    state.high_watermark = 6
    assert state.may_be_behind
    state.fetch_offset = 6
    assert not state.may_be_behind
    state.high_watermark, state.last_stable_offset = 9, 6
    assert not state.may_be_behind, "what is not committed cannot be read"


def test_nothing_left_is_none() -> None:
    state = state_with([5], 6)
    assert next(state.decoded, None) is not None
    assert next(state.decoded, None) is None


def test_a_batch_without_messages_moves_the_position_past_it() -> None:
    state = state_with([], 9)
    assert state.position == 9


def test_seeking_forgets_what_was_read_ahead() -> None:
    state = state_with([1, 2, 3], 4)
    state.chunks.append(Chunk(memoryview(b"abc")))
    state.fetch = object()
    state.error = ValueError()
    state.seek(7)
    assert (state.position, state.fetch_offset, state.fetch, state.error) == (7, 7, None, None)
    assert not state.has_messages
    assert not state.buffered_bytes
    state.restart(Start.LATEST)
    assert not state.has_position
    assert state.start is Start.LATEST


def test_lag_is_never_negative() -> None:
    state = state_with([1, 2], 3)
    state.high_watermark = 2
    assert state.lag == 1
    state.take(2)
    assert state.lag == 0


def test_a_new_assignment_keeps_the_positions_of_what_stays() -> None:
    assignment = Assignment()
    assignment.replace([ORDERS], Start.EARLIEST)
    assignment[ORDERS].seek(5)
    assignment.replace([OTHER, ORDERS], Start.EARLIEST)
    assert assignment[ORDERS].position == 5
    assert assignment.partitions == {ORDERS, OTHER}
    assignment.replace([OTHER], Start.EARLIEST)
    assert assignment.get(ORDERS) is None
    with pytest.raises(ValueError, match="orders-0"):
        assignment[ORDERS]


def test_adding_what_is_there_changes_nothing() -> None:
    assignment = Assignment()
    assignment.add(ORDERS, Start.EARLIEST)
    assignment[ORDERS].seek(5)
    assignment.add(ORDERS, Start.LATEST)
    assert assignment[ORDERS].position == 5
    assert len(assignment) == 1


def test_a_partition_that_was_served_goes_behind_the_others() -> None:
    assignment = Assignment()
    assignment.replace([ORDERS, OTHER], Start.EARLIEST)
    assignment.rotate(ORDERS)
    assert [state.topic_partition for state in assignment] == [OTHER, ORDERS]
    assignment.rotate(TopicPartition("gone", 0))
    assert len(assignment) == 2
