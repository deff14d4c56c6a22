from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from minikafka_client.background import CallersThread, background


async def thread_name() -> str:
    return threading.current_thread().name


def test_work_is_done_in_one_thread_whoever_asks() -> None:
    names = [background().run(thread_name())]
    threads = [threading.Thread(target=lambda: names.append(background().run(thread_name()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["minikafka-client"] * 5
    assert background().call(lambda: threading.current_thread().name) == "minikafka-client"


@pytest.mark.parametrize("run", [background().run, CallersThread().run], ids=["background", "callers-thread"])
def test_what_the_work_raises_the_caller_raises(run: Callable[..., None]) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail())


def test_an_interrupted_wait_cancels_the_work() -> None:
    calls = CallersThread()
    is_cancelled = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt  # as Ctrl-C does

    async def work() -> None:
        try:
            await calls.call(interrupt)
        finally:
            is_cancelled.set()

    with pytest.raises(KeyboardInterrupt):
        calls.run(work())
    assert is_cancelled.wait(10)


def test_the_clients_thread_does_not_wait_for_itself() -> None:
    with pytest.raises(RuntimeError, match="callback in the client's thread"):
        background().call(lambda: background().run(thread_name()))


def test_functions_of_the_program_are_called_by_the_thread_that_waits() -> None:
    calls = CallersThread()
    names: list[str] = []

    async def work() -> str:
        await calls.call(lambda: names.append(threading.current_thread().name))
        return await thread_name()

    assert calls.run(work()) == "minikafka-client"
    assert names == [threading.current_thread().name]


def test_a_call_waits_for_a_thread_that_waits() -> None:
    calls = CallersThread()
    is_called = threading.Event()
    calling = background().begin(calls.call(is_called.set))
    calls.run(asyncio.sleep(0))
    while not is_called.is_set():
        calls.run(asyncio.sleep(0))
    calling.result(10)


def test_what_an_async_function_of_the_program_does_is_done_in_the_clients_thread() -> None:
    calls = CallersThread()
    names: list[str] = []

    async def function() -> None:
        names.append(await thread_name())

    calls.run(calls.call(function))
    assert names == ["minikafka-client"]


def test_what_a_function_of_the_program_raises_goes_to_the_work_that_called_it() -> None:
    calls = CallersThread()

    async def work() -> str:
        try:
            await calls.call(lambda: int("x"))  # type: ignore[arg-type, return-value]
        except ValueError:
            return "heard"
        return "not heard"

    assert calls.run(work()) == "heard"


def test_a_function_of_the_program_cannot_wait_for_the_work_that_called_it() -> None:
    calls = CallersThread()
    with pytest.raises(RuntimeError, match="rebalance callback cannot poll"):
        calls.run(calls.call(lambda: calls.run(asyncio.sleep(0))))
    calls.run(asyncio.sleep(0))


def test_a_call_that_was_given_up_is_not_made() -> None:
    calls = CallersThread()
    made: list[str] = []
    given_up = background().begin(calls.call(lambda: made.append("made")))
    background().run(asyncio.sleep(0))
    given_up.cancel()
    background().run(asyncio.sleep(0))  # what the call waited for is cancelled by now
    calls.run(asyncio.sleep(0))
    assert not made
