from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from minikafka.records.batch import RecordBatch
from minikafka.records.compression import Compression
from minikafka.records.record import iter_records
from minikafka_client.errors import ClientClosed
from minikafka_client.producer.accumulator import RECORD_OVERHEAD_BYTES, Accumulator, PartitionQueue, headers_size
from minikafka_client.producer.delivery import Delivery


def accumulator(buffer_memory: int = 10_000) -> Accumulator:
    return Accumulator(buffer_memory=buffer_memory, compression=Compression.NONE)


def append(records: Accumulator, queue: PartitionQueue, value: bytes) -> Delivery | None:
    size_bytes = RECORD_OVERHEAD_BYTES + len(value)
    return records.append(queue, (1, None, value, ()), size_bytes) if records.has_room(size_bytes) else None


def test_records_gather_in_the_open_batch() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 1_000)
    for _ in range(3):
        append(records, queue, b"x")
    assert queue.open is None
    assert records.look() == [queue]
    assert queue.open is not None
    assert len(queue.open) == 3
    assert not queue.inbox
    assert not queue.ready


def test_a_full_batch_makes_room_for_the_next() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 1_000)
    for _ in range(3):
        append(records, queue, bytes(600))
    records.look()
    assert len(queue.ready) == 2
    assert queue.open is not None
    assert len(queue.open) == 1


def test_the_loop_is_told_when_a_batch_is_full() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 1_000)
    told: list[None] = []
    append(records, queue, b"x")
    records.look()
    records.on_work = lambda: told.append(None)
    append(records, queue, bytes(600))
    assert not told
    append(records, queue, bytes(600))
    assert told
    assert records.is_full
    records.look()
    assert not records.is_full


def test_a_record_larger_than_a_batch_has_one_to_itself() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 100)
    append(records, queue, b"x")
    append(records, queue, bytes(5_000))
    append(records, queue, b"x")
    records.look()
    assert [len(batch) for batch in queue.ready] == [1, 1]


def test_nothing_is_added_beyond_the_buffer() -> None:
    records, queue = accumulator(buffer_memory=1_000), PartitionQueue("orders", 0, 1_000)
    assert append(records, queue, bytes(900)) is not None
    assert not records.has_room(200)
    assert append(records, queue, bytes(200)) is None
    assert len(queue.inbox) == 1


def test_nothing_is_added_after_closing() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 1_000)
    records.close()
    assert append(records, queue, b"x") is None


def test_what_a_thread_appends_too_late_is_refused_and_not_forgotten() -> None:
    records, queue, other = accumulator(), PartitionQueue("orders", 0, 1_000), PartitionQueue("orders", 1, 1_000)
    gathered = append(records, queue, b"x")
    records.look()
    in_inbox = append(records, queue, b"x")
    records.close()
    records.end(ClientClosed("closed"))
    late = [records.append(where, (1, None, b"x", ()), 10) for where in (queue, queue, other)]
    for delivery in (gathered, in_inbox, *late):
        assert delivery is not None
        assert isinstance(delivery.exception(), ClientClosed)


def test_a_batch_that_is_done_gives_back_its_memory_and_says_so() -> None:
    records, queue = accumulator(buffer_memory=1_000), PartitionQueue("orders", 0, 1_000)
    told: list[int] = []
    records.on_room = lambda: told.append(records.buffered_bytes)
    append(records, queue, bytes(900))
    records.look()
    records.close_open(queue)
    records.succeed(queue.ready.popleft(), 0, -1)
    assert told == [0]
    assert not records.unfinished
    assert append(records, queue, bytes(900)) is not None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30_000)), max_size=60), st.integers(1_000, 200_000))
def test_what_is_counted_as_buffered_never_exceeds_the_buffer_and_is_all_given_back(
    records: list[tuple[int, int]], buffer_memory: int
) -> None:
    gathered = accumulator(buffer_memory=buffer_memory)
    queues = [PartitionQueue("orders", number, 20_000) for number in range(3)]
    for number, size in records:
        if gathered.has_room(size):
            gathered.append(queues[number], (1, None, b"x", ()), size)
        else:
            assert gathered.buffered_bytes + size > buffer_memory
            gathered.look()
        assert 0 <= gathered.buffered_bytes <= buffer_memory
        in_inboxes = sum(delivery.size_bytes for queue in queues for delivery in queue.inbox)
        assert gathered.buffered_bytes == in_inboxes + sum(batch.size_bytes for batch in gathered.unfinished)
    gathered.look()
    for queue in queues:
        gathered.close_open(queue)
        while queue.ready:
            gathered.succeed(queue.ready.popleft(), 0, -1)
    assert gathered.buffered_bytes == 0


def test_the_loop_is_told_of_work_once_until_nothing_is_left() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 1_000)
    told: list[None] = []
    records.on_work = lambda: told.append(None)
    for _ in range(5):
        append(records, queue, b"x")
    assert len(told) == 1


def test_a_queue_is_looked_after_until_it_is_empty() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 1_000)
    append(records, queue, b"x")
    records.look()
    records.drop_if_empty(queue)
    assert records.look() == [queue]
    records.close_open(queue)
    records.fail(queue.ready.popleft(), ValueError())
    append(records, queue, b"too late to be gathered before")
    records.drop_if_empty(queue)
    assert records.look() == [queue]
    records.close_open(queue)
    records.fail(queue.ready.popleft(), ValueError())
    records.drop_if_empty(queue)
    assert records.look() == []


def test_failures_are_reported_once() -> None:
    records, queue = accumulator(), PartitionQueue("orders", 0, 1_000)
    append(records, queue, b"x")
    records.look()
    records.close_open(queue)
    batch = queue.ready.popleft()
    records.fail(batch, ValueError())
    assert records.take_failures() == [batch]
    assert records.take_failures() == []


def test_many_threads_lose_and_repeat_nothing() -> None:
    records, queue = accumulator(buffer_memory=10_000_000), PartitionQueue("orders", 0, 500)
    deliveries: list[Delivery | None] = []

    def send(thread: int) -> None:
        for number in range(2_000):
            delivery = append(records, queue, b"%d %d" % (thread, number))
            deliveries.append(delivery)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for active in records.look():
            records.drop_if_empty(active)
    records.look()
    records.close_open(queue)
    values = [
        record.value
        for batch in queue.ready
        for record in iter_records(RecordBatch.parse(memoryview(batch.builder.build())), budget_bytes=1_000_000)
    ]
    assert len(values) == len(deliveries) == 8_000
    for thread_number in range(4):
        mine = [value for value in values if value is not None and value.startswith(b"%d " % thread_number)]
        assert mine == [b"%d %d" % (thread_number, number) for number in range(2_000)]


def test_the_size_of_a_record_is_close_to_what_it_takes() -> None:
    records, queue = accumulator(buffer_memory=1_000_000), PartitionQueue("orders", 0, 1_000_000)
    headers = [("name", b"value"), ("other", None)]
    size = RECORD_OVERHEAD_BYTES + len(b"key") + 100 + headers_size(headers)
    for _ in range(100):
        records.append(queue, (1, b"key", bytes(100), headers), size)
    records.look()
    assert queue.open is not None
    records.close()
    assert 0.9 < queue.open.size_bytes / queue.open.builder.size_bytes < 1.2
