from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.records.batch import RecordBatch
from minikafka.records.compression import Compression
from minikafka.records.record import Header, iter_records
from minikafka_client.producer.accumulator import PartitionQueue
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.delivery import RecordMetadata
from minikafka_client.producer.intake import Extras, Records
from tests.clients.support.records import gathered, sent


def test_each_record_learns_its_own_offset() -> None:
    batch, deliveries = gathered(3)
    batch.succeed(40, -1)
    assert [delivery.result() for delivery in deliveries] == [
        RecordMetadata("orders", 2, 40, 100),
        RecordMetadata("orders", 2, 41, 101),
        RecordMetadata("orders", 2, 42, 102),
    ]


def test_log_append_time_takes_the_place_of_the_senders_time() -> None:
    batch, deliveries = gathered(1)
    batch.succeed(0, 999)
    assert deliveries[0].result() == replace(RecordMetadata("orders", 2, 0, 100), timestamp_ms=999)


def test_an_unknown_offset_is_minus_one_for_every_record() -> None:
    batch, deliveries = gathered(2)
    batch.succeed(-1, -1)
    assert [delivery.result().offset for delivery in deliveries] == [-1, -1]


def test_a_failure_is_raised_by_each_delivery() -> None:
    batch, deliveries = gathered(2)
    batch.fail(ValueError("no"))
    for delivery in deliveries:
        assert delivery.done()
        assert isinstance(delivery.exception(), ValueError)
        with pytest.raises(ValueError, match="no"):
            delivery.result()


def test_records_whose_failure_nobody_heard_of_are_counted() -> None:
    batch, deliveries = gathered(4)
    deliveries[0].add_done_callback(lambda delivery: None)
    batch.fail(ValueError())
    deliveries[1].exception()
    assert batch.unheard_count == 2


def test_a_batch_that_was_stored_has_nothing_unheard() -> None:
    batch, _ = gathered(4)
    batch.succeed(0, -1)
    assert batch.unheard_count == 0


def test_records_with_extras_and_without_stand_in_one_batch() -> None:
    batch = ProducerBatch(PartitionQueue("orders", 2, 1_000), Compression.NONE, 0.0)
    records = sent(3)
    extras = [None, Extras(None, 5, b"key", [("name", b"content")], 10), None]
    batch.add(Records(records.deliveries, [b"a", None, b"c"], [0.001, 0.002, 0.003], extras), 30)
    batch.add(Records(sent(1).deliveries, [b"d"], [0.004], [None]), 10)
    assert [tuple(record) for record in stored(batch)] == [
        (0, 1, None, b"a", ()),
        (1, 5, b"key", None, (Header("name", b"content"),)),
        (2, 3, None, b"c", ()),
        (3, 4, None, b"d", ()),
    ]


def test_the_halves_of_a_batch_that_was_too_large_hold_all_of_it() -> None:
    batch, deliveries = gathered(5)
    halves = batch.split()
    assert [len(half) for half in halves] == [2, 3]
    assert [record[1:] for half in halves for record in stored(half)] == [
        (100 + number, None, b"x", ()) for number in range(5)
    ]
    halves[0].succeed(7, -1)
    assert not batch.done
    halves[1].succeed(20, -1)
    assert batch.done
    assert [delivery.result().offset for delivery in deliveries] == [7, 8, 20, 21, 22]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50).map(sorted))
def test_times_become_the_milliseconds_that_they_lie_in(sent_at: list[float]) -> None:
    batch = ProducerBatch(PartitionQueue("orders", 2, 1_000), Compression.NONE, 0.0)
    count = len(sent_at)
    batch.add(Records(sent(count).deliveries, [b"x"] * count, sent_at, [None] * count), 10)
    assert batch.timestamps_ms == sorted(batch.timestamps_ms)
    for timestamp_ms, seconds in zip(batch.timestamps_ms, sent_at, strict=True):
        assert timestamp_ms <= seconds * 1_000 * (1 + 1e-12)
        assert seconds * 1_000 * (1 - 1e-12) <= timestamp_ms + 1


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_each_record_has_a_time_whatever_the_clock_does(sent_at: list[float]) -> None:
    batch = ProducerBatch(PartitionQueue("orders", 2, 1_000), Compression.NONE, 0.0)
    count = len(sent_at)
    batch.add(Records(sent(count).deliveries, [b"x"] * count, sent_at, [None] * count), 10)
    assert len(batch.timestamps_ms) == count == len(stored(batch))


def stored(batch: ProducerBatch) -> list[tuple[object, ...]]:
    built = RecordBatch.parse(memoryview(batch.builder.build()))
    built.verify_crc()
    return list(iter_records(built, budget_bytes=100_000))
