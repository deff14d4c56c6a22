from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.records.batch import RecordBatch
from minikafka.records.builder_columns import MAX_RECORDS
from minikafka.records.compression import Compression
from minikafka.records.record import iter_records
from minikafka_client.errors import ClientClosed
from minikafka_client.producer.accumulator import Accumulator, PartitionQueue
from minikafka_client.producer.delivery import Delivery
from minikafka_client.producer.intake import RECORD_OVERHEAD_BYTES, Intake
from minikafka_client.producer.partitioner import RoundRobinPartitioner


class Lines:
    """An intake and an accumulator of one topic."""

    def __init__(self, *, buffer_memory: int = 10_000, batch_size: int = 1_000, partitions: int = 1) -> None:
        turns = RoundRobinPartitioner()
        self.intake = Intake(buffer_memory=buffer_memory, max_record_size=1_000_000, partitioner=turns)
        self.accumulator = Accumulator(self.intake, batch_size=batch_size, compression=Compression.NONE, turns=turns)
        self.accumulator.line_up("orders", partitions)

    def send(self, value: bytes, key: bytes | None = None, partition: int | None = None) -> Delivery | None:
        return self.intake.try_send("orders", value, key, partition)

    def queue(self) -> PartitionQueue:
        (queue,) = self.accumulator.look()
        return queue

    def values(self) -> dict[int, list[bytes | None]]:
        """What is in the batches, by partition."""
        found: dict[int, list[bytes | None]] = {}
        for queue in self.accumulator.look():
            self.accumulator.close_open(queue)
            for batch in queue.ready:
                built = RecordBatch.parse(memoryview(batch.builder.build()))
                values = found.setdefault(queue.partition, [])
                values += [record.value for record in iter_records(built, budget_bytes=1_000_000)]
        return found


def test_records_gather_in_the_open_batch() -> None:
    lines = Lines()
    for _ in range(3):
        lines.send(b"x")
    queue = lines.queue()
    assert queue.open is not None
    assert len(queue.open) == 3
    assert not queue.ready


def test_a_full_batch_makes_room_for_the_next() -> None:
    lines = Lines()
    for _ in range(3):
        lines.send(bytes(600))
    queue = lines.queue()
    assert len(queue.ready) == 2
    assert queue.open is not None
    assert len(queue.open) == 1


def test_a_batch_that_is_full_to_the_last_byte_takes_no_more() -> None:
    lines = Lines()
    lines.send(bytes(1_000 - RECORD_OVERHEAD_BYTES))
    queue = lines.queue()
    assert not queue.ready
    lines.send(b"x")
    lines.queue()
    assert [len(batch) for batch in queue.ready] == [1]


def test_a_record_larger_than_a_batch_has_one_to_itself() -> None:
    lines = Lines(batch_size=100)
    for value in (b"x", bytes(5_000), b"x"):
        lines.send(value)
    assert [len(batch) for batch in lines.queue().ready] == [1, 1]


@pytest.mark.parametrize("sent_before", [0, 10, MAX_RECORDS])
def test_a_batch_takes_no_more_records_than_are_encoded_by_columns(sent_before: int) -> None:
    lines = Lines(buffer_memory=10_000_000, batch_size=1_000_000)
    for _ in range(sent_before):
        lines.send(b"x")
    lines.accumulator.look()
    for _ in range(2 * MAX_RECORDS + 1 - sent_before):
        lines.send(b"x")
    queue = lines.queue()
    assert queue.open is not None
    assert [len(batch) for batch in (*queue.ready, queue.open)] == [MAX_RECORDS, MAX_RECORDS, 1]


def test_records_without_a_key_are_dealt_out_evenly_and_keep_their_order() -> None:
    lines = Lines(partitions=3, batch_size=10_000)
    for number in range(20):
        lines.send(b"%d" % number)
        if number in (4, 5, 13):
            lines.accumulator.look()
    values = lines.values()
    assert sorted(map(len, values.values())) == [6, 7, 7]
    turns = [next(part for part, found in values.items() if b"%d" % number in found) for number in range(20)]
    assert turns[3:] == turns[:17]
    for found in values.values():
        assert found == sorted(found, key=lambda value: int(value or b""))


@given(st.lists(st.tuples(st.none() | st.sampled_from([b"a", b"b"]), st.none() | st.integers(0, 2)), max_size=40))
def test_whatever_chooses_the_partition_each_keeps_the_order(records: list[tuple[bytes | None, int | None]]) -> None:
    lines = Lines(partitions=3, buffer_memory=100_000, batch_size=100)
    for number, (key, partition) in enumerate(records):
        lines.send(b"%d" % number, key, partition)
    values = lines.values()
    assert sorted(int(value or b"") for found in values.values() for value in found) == list(range(len(records)))
    for found in values.values():
        assert found == sorted(found, key=lambda value: int(value or b""))
    for number, (_, partition) in enumerate(records):
        assert partition is None or b"%d" % number in values[partition]


def test_a_batch_that_is_done_gives_back_its_memory_and_says_so() -> None:
    lines = Lines(buffer_memory=1_000)
    told: list[int] = []
    lines.accumulator.on_room = lambda: told.append(lines.accumulator.buffered_bytes)
    lines.send(bytes(900))
    assert lines.send(bytes(900)) is None
    queue = lines.queue()
    lines.accumulator.close_open(queue)
    lines.accumulator.succeed(queue.ready.popleft(), 0, -1)
    assert told == [0]
    assert not lines.accumulator.unfinished
    assert lines.send(bytes(900)) is not None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30_000)), max_size=60), st.integers(1_000, 200_000))
def test_what_is_counted_as_buffered_never_exceeds_the_buffer_and_is_all_given_back(
    records: list[tuple[int, int]], buffer_memory: int
) -> None:
    lines = Lines(partitions=3, buffer_memory=buffer_memory, batch_size=20_000)
    accumulator = lines.accumulator
    for partition, size in records:
        if lines.send(bytes(size), partition=partition) is None:
            assert accumulator.buffered_bytes + size + RECORD_OVERHEAD_BYTES > buffer_memory
            accumulator.look()
        assert 0 <= accumulator.buffered_bytes <= buffer_memory
    for queue in accumulator.look():
        accumulator.close_open(queue)
    assert accumulator.buffered_bytes == sum(batch.size_bytes for batch in accumulator.unfinished)
    for queue in accumulator.look():
        while queue.ready:
            accumulator.succeed(queue.ready.popleft(), 0, -1)
    assert accumulator.buffered_bytes == 0


def test_a_queue_is_looked_after_until_it_is_empty() -> None:
    lines = Lines()
    accumulator = lines.accumulator
    lines.send(b"x")
    queue = lines.queue()
    accumulator.rest(queue)
    assert accumulator.look() == [queue]
    accumulator.close_open(queue)
    accumulator.fail(queue.ready.popleft(), ValueError())
    lines.send(b"too late to be gathered before")
    accumulator.rest(queue)
    assert accumulator.look() == [queue]
    accumulator.close_open(queue)
    accumulator.fail(queue.ready.popleft(), ValueError())
    accumulator.rest(queue)
    assert accumulator.look() == []


def test_the_loop_is_told_again_once_it_has_stopped_looking() -> None:
    lines = Lines()
    told: list[None] = []
    lines.intake.on_work = lambda: told.append(None)
    for _ in range(2):
        lines.send(b"x")
        lines.send(b"x")
        queue = lines.queue()
        lines.accumulator.close_open(queue)
        lines.accumulator.succeed(queue.ready.popleft(), 0, -1)
        lines.accumulator.rest(queue)
    assert len(told) == 2


def test_while_everything_is_on_its_way_the_loop_is_told_of_what_comes() -> None:
    lines = Lines()
    told: list[None] = []
    lines.intake.on_work = lambda: told.append(None)
    lines.send(b"x")
    queue = lines.queue()
    lines.send(b"gathered when the open batch is due")
    assert len(told) == 1
    lines.accumulator.look()
    lines.accumulator.close_open(queue)
    queue.in_flight.append(queue.ready.popleft())
    lines.accumulator.rest(queue)
    lines.send(b"x")
    assert len(told) == 2
    assert lines.queue().open is not None


def test_failures_are_reported_once() -> None:
    lines = Lines()
    lines.send(b"x")
    queue = lines.queue()
    lines.accumulator.close_open(queue)
    batch = queue.ready.popleft()
    lines.accumulator.fail(batch, ValueError())
    assert lines.accumulator.take_failures() == [batch]
    assert lines.accumulator.take_failures() == []


@pytest.mark.parametrize("partitions", [1, 2])
def test_what_a_thread_leaves_too_late_is_refused_and_not_forgotten(partitions: int) -> None:
    lines = Lines(partitions=partitions)
    gathered = lines.send(b"x", partition=0)
    lines.accumulator.look()
    in_inbox = lines.send(b"x")
    lines.accumulator.end(ClientClosed("closed"))
    late = [lines.send(b"x"), lines.send(b"x", partition=partitions - 1)]
    for delivery in (gathered, in_inbox, *late):
        assert delivery is not None
        assert isinstance(delivery.exception(), ClientClosed)


def test_many_threads_lose_and_repeat_nothing() -> None:
    lines = Lines(buffer_memory=10_000_000, batch_size=500)
    deliveries: list[Delivery | None] = []

    def send(thread: int) -> None:
        deliveries.extend(lines.send(b"%d %d" % (thread, number)) for number in range(2_000))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for active in lines.accumulator.look():
            lines.accumulator.rest(active)
    (values,) = lines.values().values()
    assert len(values) == len(deliveries) == 8_000
    for thread_number in range(4):
        mine = [value for value in values if value is not None and value.startswith(b"%d " % thread_number)]
        assert mine == [b"%d %d" % (thread_number, number) for number in range(2_000)]
