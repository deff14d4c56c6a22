"""What a Produce request's transactional batches need before they are appended."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from minikafka.broker.confirmation import Confirmations
from minikafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgress,
    CoordinatorNotAvailable,
    ErrorCode,
    InvalidProducerEpoch,
    KafkaError,
    NotCoordinator,
    TransactionAbortable,
)
from minikafka.records.batch import RecordBatch
from minikafka.storage.transaction_verification import VerificationGuard
from minikafka.types import ProducerIdAndEpoch, TopicPartition
from tests.support.storage import make_batch


class StubVerifier:
    """Answers as it is told, and notes what it is asked."""

    def __init__(self, errors: dict[int, KafkaError] | None = None, *, waits: bool = False) -> None:
        self.asked: list[tuple[ProducerIdAndEpoch, list[int], bool]] = []
        self.errors = errors or {}
        self.answer = asyncio.get_running_loop().create_future() if waits else None

    def confirm(
        self, transactional_id: str, producer: ProducerIdAndEpoch, partitions: Collection[TopicPartition], *, adds: bool
    ) -> Any:
        assert transactional_id == "payments"
        numbers = [partition.partition for partition in partitions]
        self.asked.append((producer, numbers, adds))
        for number in numbers:
            if number in self.errors:
                raise self.errors[number]
        return self.answer


class StubPartition:
    def __init__(self, number: int, guard: VerificationGuard | None = None, error: KafkaError | None = None) -> None:
        self.topic_partition = TopicPartition("t", number)
        self.guard = guard
        self.error = error

    def begin_verification(self, _batch: RecordBatch, *, adds_partition: bool) -> VerificationGuard | None:
        if self.error is not None:
            raise self.error
        assert adds_partition in {True, False}
        return self.guard


def batch_of(producer_id: int = 7, *, is_transactional: bool = True) -> RecordBatch:
    content = make_batch(b"x", producer=(producer_id, 3, 0), is_transactional=is_transactional)
    return RecordBatch.parse(memoryview(content))


def confirmations(verifier: Any, version: int, *partitions: Any) -> Confirmations:
    made = Confirmations(verifier, "payments", version)
    for partition in partitions:
        made.add(partition.topic_partition.partition, partition, batch_of())
    made.ask()
    return made


def code_of(made: Confirmations, number: int) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        made.guard_of(number)
    return caught.value.code


async def test_what_is_confirmed_at_once_need_not_be_waited_for() -> None:
    verifier, guard = StubVerifier(), VerificationGuard()
    made = confirmations(verifier, 9, StubPartition(0, guard))
    assert not made.must_wait
    assert made.guard_of(0) is guard
    assert verifier.asked == [((7, 3), [0], False)]


async def test_what_the_log_knows_and_what_is_not_transactional_is_not_asked_about() -> None:
    verifier = StubVerifier()
    made = Confirmations(verifier, "payments", 9)  # type: ignore[arg-type]
    made.add(0, StubPartition(0), batch_of())  # type: ignore[arg-type]
    made.add(1, StubPartition(1, VerificationGuard()), batch_of(is_transactional=False))  # type: ignore[arg-type]
    made.ask()
    assert verifier.asked == []
    assert made.guard_of(0) is made.guard_of(1) is None


async def test_partitions_are_added_together_and_verified_each_for_itself() -> None:
    partitions = [StubPartition(number, VerificationGuard()) for number in (0, 1)]
    verifier = StubVerifier({1: TransactionAbortable("not in it")})
    made = confirmations(verifier, 11, *partitions)
    assert [numbers for _, numbers, _ in verifier.asked] == [[0], [1]]
    assert made.guard_of(0) is partitions[0].guard
    assert code_of(made, 1) is ErrorCode.TRANSACTION_ABORTABLE
    verifier = StubVerifier()
    confirmations(verifier, 12, *partitions)
    assert verifier.asked == [((7, 3), [0, 1], True)]


async def test_an_answer_that_takes_time_is_waited_for() -> None:
    verifier, guard = StubVerifier(waits=True), VerificationGuard()
    made = confirmations(verifier, 12, StubPartition(0, guard))
    assert made.must_wait
    waiting = asyncio.ensure_future(made.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert verifier.answer is not None
    verifier.answer.set_result(None)
    await waiting
    assert made.guard_of(0) is guard


async def test_an_answer_may_come_to_nothing_in_the_end() -> None:
    verifier = StubVerifier(waits=True)
    made = confirmations(verifier, 12, StubPartition(0, VerificationGuard()))
    assert verifier.answer is not None
    verifier.answer.set_exception(InvalidProducerEpoch("replaced"))
    await made.wait()
    assert code_of(made, 0) is ErrorCode.INVALID_PRODUCER_EPOCH


async def test_a_batch_that_the_partition_refuses_is_not_asked_about() -> None:
    verifier = StubVerifier()
    made = confirmations(verifier, 9, StubPartition(0, error=InvalidProducerEpoch("replaced")))
    assert code_of(made, 0) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert verifier.asked == []


async def test_batches_of_several_producers_are_refused_together() -> None:
    made = Confirmations(StubVerifier(), "payments", 9)  # type: ignore[arg-type]
    for number in (0, 1):
        made.add(number, StubPartition(number, VerificationGuard()), batch_of(number))  # type: ignore[arg-type]
    made.ask()
    assert {code_of(made, 0), code_of(made, 1)} == {ErrorCode.INVALID_PRODUCER_ID_MAPPING}


@pytest.mark.parametrize(
    "error",
    [ConcurrentTransactions("x"), CoordinatorLoadInProgress("x"), CoordinatorNotAvailable("x"), NotCoordinator("x")],
    ids=lambda error: error.code.name,
)
async def test_what_may_soon_be_otherwise_is_to_be_sent_again(error: KafkaError) -> None:
    made = confirmations(StubVerifier({0: error}), 12, StubPartition(0, VerificationGuard()))
    assert code_of(made, 0) is ErrorCode.NOT_ENOUGH_REPLICAS


@pytest.mark.parametrize(
    ("version", "expected"), [(10, ErrorCode.INVALID_TXN_STATE), (11, ErrorCode.TRANSACTION_ABORTABLE)]
)
async def test_only_clients_that_know_it_are_told_to_abort(version: int, expected: ErrorCode) -> None:
    error = TransactionAbortable("x")
    made = confirmations(StubVerifier({0: error}), version, StubPartition(0, VerificationGuard()))
    assert code_of(made, 0) is expected
