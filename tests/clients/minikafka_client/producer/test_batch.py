from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from minikafka.records.compression import Compression
from minikafka_client.producer.accumulator import PartitionQueue
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.delivery import Delivery, RecordMetadata


def batch_of(count: int) -> tuple[ProducerBatch, list[Delivery]]:
    batch = ProducerBatch(PartitionQueue("orders", 2, 1_000), Compression.NONE, 0.0)
    deliveries = [sent(100 + number) for number in range(count)]
    batch.add(deliveries, 10 * count)
    return batch, deliveries


def sent(timestamp_ms: int) -> Delivery:
    delivery = Delivery()
    delivery.record = (timestamp_ms, None, b"x", ())
    delivery.size_bytes = 10
    delivery.callback = delivery.batch = None
    return delivery


def test_each_record_learns_its_own_offset() -> None:
    batch, deliveries = batch_of(3)
    batch.succeed(40, -1)
    assert [delivery.result() for delivery in deliveries] == [
        RecordMetadata("orders", 2, 40, 100),
        RecordMetadata("orders", 2, 41, 101),
        RecordMetadata("orders", 2, 42, 102),
    ]


def test_log_append_time_takes_the_place_of_the_senders_time() -> None:
    batch, deliveries = batch_of(1)
    batch.succeed(0, 999)
    assert deliveries[0].result().timestamp_ms == 999


def test_an_unknown_offset_is_minus_one_for_every_record() -> None:
    batch, deliveries = batch_of(2)
    batch.succeed(-1, -1)
    assert [delivery.result().offset for delivery in deliveries] == [-1, -1]


def test_a_failure_is_raised_by_each_delivery() -> None:
    batch, deliveries = batch_of(2)
    batch.fail(ValueError("no"))
    for delivery in deliveries:
        assert delivery.done()
        assert isinstance(delivery.exception(), ValueError)
        with pytest.raises(ValueError, match="no"):
            delivery.result()


async def test_a_delivery_can_be_awaited_before_and_after_it_is_done() -> None:
    batch, deliveries = batch_of(2)
    waiting = asyncio.create_task(asyncio.wait_for(deliveries[0], 5))
    await asyncio.sleep(0)
    assert not waiting.done()
    batch.succeed(7, -1)
    assert (await waiting).offset == 7
    assert (await deliveries[1]).offset == 8


async def test_one_waiter_that_gives_up_does_not_disturb_the_others() -> None:
    batch, deliveries = batch_of(2)
    waits = [asyncio.ensure_future(delivery) for delivery in deliveries]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.sleep(0)
    batch.succeed(0, -1)
    assert (await waits[1]).offset == 1


def test_a_thread_waits_for_the_result() -> None:
    batch, deliveries = batch_of(1)
    timer = threading.Timer(0.01, lambda: batch.succeed(3, -1))
    timer.start()
    assert deliveries[0].result(timeout_s=10).offset == 3
    timer.join()


def test_a_thread_does_not_wait_for_ever() -> None:
    _, deliveries = batch_of(1)
    with pytest.raises(TimeoutError):
        deliveries[0].result(timeout_s=0)


async def test_waiting_in_a_loops_thread_is_refused_instead_of_blocking_the_loop() -> None:
    _, deliveries = batch_of(1)
    with pytest.raises(RuntimeError, match="await"):
        deliveries[0].result()


async def test_a_delivery_can_be_awaited_in_another_loop_than_the_producers() -> None:
    batch, deliveries = batch_of(1)
    here = asyncio.get_running_loop()
    is_waiting = asyncio.Event()

    async def wait() -> RecordMetadata:
        waiting = asyncio.ensure_future(deliveries[0])
        await asyncio.sleep(0)
        here.call_soon_threadsafe(is_waiting.set)
        return await waiting

    task = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(wait())))
    await is_waiting.wait()
    batch.succeed(5, -1)
    assert (await asyncio.wait_for(task, 5)).offset == 5


def test_callbacks_are_called_once_done_or_at_once() -> None:
    batch, deliveries = batch_of(2)
    called: list[int] = []
    deliveries[0].add_done_callback(lambda delivery: called.append(delivery.result().offset))
    assert called == []
    batch.succeed(0, -1)
    deliveries[1].add_done_callback(lambda delivery: called.append(delivery.result().offset))
    assert called == [0, 1]


def test_a_callback_that_fails_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    batch, deliveries = batch_of(2)
    called: list[Delivery] = []
    deliveries[0].add_done_callback(lambda delivery: 1 / 0)
    deliveries[1].add_done_callback(called.append)
    with caplog.at_level(logging.ERROR):
        batch.succeed(0, -1)
    assert called == [deliveries[1]]
    assert "ZeroDivisionError" in caplog.text


def test_records_whose_failure_nobody_heard_of_are_counted() -> None:
    batch, deliveries = batch_of(4)
    deliveries[0].add_done_callback(lambda delivery: None)
    batch.fail(ValueError())
    deliveries[1].exception()
    assert batch.unheard_count == 2


def test_a_batch_that_was_stored_has_nothing_unheard() -> None:
    batch, _ = batch_of(4)
    batch.succeed(0, -1)
    assert batch.unheard_count == 0
