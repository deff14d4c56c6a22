from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.delivery import Delivery, RecordMetadata
from tests.clients.support.records import gathered


def test_a_delivery_says_where_its_record_is() -> None:
    batch, deliveries = gathered(2)
    assert not deliveries[1].done()
    batch.succeed(40, -1)
    assert deliveries[1].done()
    assert deliveries[1].result() == RecordMetadata("orders", 2, 41, 101)


def test_a_delivery_that_no_batch_has_taken_over_is_not_done() -> None:
    delivery = Delivery()
    delivery.batch = delivery.callback = None
    assert not delivery.done()
    with pytest.raises(TimeoutError, match="neither stored nor given up"):
        delivery.exception(timeout_s=0)


def test_a_thread_that_waits_before_a_batch_takes_over_is_woken() -> None:
    delivery = Delivery()
    delivery.batch = delivery.callback = None
    found: list[int] = []
    waiting = threading.Event()

    def wait() -> None:
        delivery.add_done_callback(lambda _: None)
        waiting.set()
        found.append(delivery.result(timeout_s=10).offset)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    batch, _ = gathered(1, delivery)
    batch.succeed(6, -1)
    thread.join(10)
    assert found == [6]


async def test_a_delivery_can_be_awaited_before_and_after_it_is_done() -> None:
    batch, deliveries = gathered(2)
    waiting = asyncio.create_task(asyncio.wait_for(deliveries[0], 5))
    await asyncio.sleep(0)
    assert not waiting.done()
    batch.succeed(7, -1)
    assert (await waiting).offset == 7
    assert (await deliveries[1]).offset == 8


async def test_one_waiter_that_gives_up_does_not_disturb_the_others() -> None:
    batch, deliveries = gathered(2)
    waits = [asyncio.ensure_future(delivery) for delivery in deliveries]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.sleep(0)
    batch.succeed(0, -1)
    assert (await waits[1]).offset == 1


def test_a_thread_waits_for_the_result() -> None:
    batch, deliveries = gathered(1)
    timer = threading.Timer(0.01, lambda: batch.succeed(3, -1))
    timer.start()
    assert deliveries[0].result(timeout_s=10).offset == 3
    timer.join()


def test_a_thread_does_not_wait_for_ever() -> None:
    _, deliveries = gathered(1)
    with pytest.raises(TimeoutError):
        deliveries[0].result(timeout_s=0)


async def test_waiting_in_a_loops_thread_is_refused_instead_of_blocking_the_loop() -> None:
    _, deliveries = gathered(1)
    with pytest.raises(RuntimeError, match="await"):
        deliveries[0].result()


async def test_a_delivery_can_be_awaited_in_another_loop_than_the_producers() -> None:
    batch, deliveries = gathered(1)
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
    batch, deliveries = gathered(2)
    called: list[int] = []
    deliveries[0].add_done_callback(lambda delivery: called.append(delivery.result().offset))
    assert called == []
    batch.succeed(0, -1)
    deliveries[1].add_done_callback(lambda delivery: called.append(delivery.result().offset))
    assert called == [0, 1]


def test_several_callbacks_are_called_in_their_order() -> None:
    batch, deliveries = gathered(1)
    called: list[str] = []
    for name in ("first", "second", "third"):
        deliveries[0].add_done_callback(lambda _, name=name: called.append(name))  # type: ignore[misc]
    batch.succeed(0, -1)
    assert called == ["first", "second", "third"]


def test_a_callback_that_fails_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    batch, deliveries = gathered(2)
    called: list[Delivery] = []
    deliveries[0].add_done_callback(lambda delivery: 1 / 0)
    deliveries[0].add_done_callback(called.append)
    deliveries[1].add_done_callback(called.append)
    with caplog.at_level(logging.ERROR):
        batch.succeed(0, -1)
        deliveries[0].add_done_callback(lambda delivery: {}["nothing"])
    assert called == deliveries
    assert "ZeroDivisionError" in caplog.text
    assert "KeyError" in caplog.text


def test_a_callback_added_while_another_thread_finishes_is_called_exactly_once() -> None:
    for _ in range(200):
        batch, deliveries = gathered(1)
        called: list[Delivery] = []
        start = threading.Barrier(2)

        def finish(batch: ProducerBatch = batch, start: threading.Barrier = start) -> None:
            start.wait(10)
            batch.succeed(0, -1)

        thread = threading.Thread(target=finish)
        thread.start()
        start.wait(10)
        deliveries[0].add_done_callback(called.append)
        thread.join(10)
        assert called == deliveries
