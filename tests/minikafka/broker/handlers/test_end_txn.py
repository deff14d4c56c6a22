"""EndTxn over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.end_txn import EndTxnHandler
from minikafka.coordinator.transaction.shard import Ended
from minikafka.errors import ErrorCode, NotCoordinator
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from minikafka.types import ProducerIdAndEpoch
from tests.support.control_plane import versions_of
from tests.support.transaction_client import TransactionClient

VERSIONS = versions_of(ApiKey.END_TXN)
OF_OLD = [version for version in VERSIONS if version < 5]
BUMPING = [version for version in VERSIONS if version >= 5]


NEXT = ProducerIdAndEpoch(7, 4)


def handle(ended: Ended | Coroutine[Any, Any, Ended]) -> EndTxnResponse | Coroutine[Any, Any, EndTxnResponse]:
    """What the handler makes of what the coordinator says."""
    here = Address("127.0.0.1", 9092)
    ctx = RequestContext(ConnectionInfo(1, here, here, "PLAINTEXT"), 5, "client", 1, 0.0)
    handler = EndTxnHandler(SimpleNamespace(end=lambda *_, **__: ended))  # type: ignore[arg-type]
    request = EndTxnRequest(transactional_id="payments", producer_id=7, producer_epoch=3, committed=True)
    return handler(request, ctx)


async def with_a_transaction(client: TransactionClient) -> ProducerIdAndEpoch:
    producer = await client.begin("payments")
    assert await client.add_partitions("payments", producer, "orders", 0, 2) == {0: 0, 2: 0}
    return producer


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_transaction_is_ended_and_each_of_its_partitions_has_a_marker(
    transactional: TransactionClient, version: int, commit: bool
) -> None:
    producer = await with_a_transaction(transactional)
    answer = await transactional.end("payments", producer, commit=commit, version=version)
    assert answer.error_code == 0
    next_epoch = producer.producer_epoch + 1 if version in BUMPING else -1
    next_id = producer.producer_id if version in BUMPING else -1
    assert (answer.producer_id, answer.producer_epoch) == (next_id, next_epoch)
    assert await transactional.state_of("payments") == ("CompleteCommit" if commit else "CompleteAbort")
    assert [await transactional.end_offset("orders", index) for index in range(4)] == [1, 0, 1, 0]


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("version", VERSIONS)
async def test_who_asks_again_gets_the_same_answer_and_the_other_end_is_refused(
    transactional: TransactionClient, version: int, commit: bool
) -> None:
    producer = await with_a_transaction(transactional)
    first = await transactional.end("payments", producer, commit=commit, version=version)
    assert await transactional.end("payments", producer, commit=commit, version=version) == first
    other = await transactional.end("payments", producer, commit=not commit, version=version)
    assert other.error_code == ErrorCode.INVALID_TXN_STATE
    assert [await transactional.end_offset("orders", index) for index in range(4)] == [1, 0, 1, 0]


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("version", OF_OLD)
async def test_there_is_nothing_to_end_before_something_was_added(
    transactional: TransactionClient, version: int, commit: bool
) -> None:
    producer = await transactional.begin("payments")
    answer = await transactional.end("payments", producer, commit=commit, version=version)
    assert answer.error_code == ErrorCode.INVALID_TXN_STATE


@pytest.mark.parametrize("version", BUMPING)
async def test_a_transaction_without_partitions_can_be_aborted_for_the_next_epoch_and_not_committed(
    transactional: TransactionClient, version: int
) -> None:
    producer = await transactional.begin("payments")
    refused = await transactional.end("payments", producer, version=version)
    assert refused.error_code == ErrorCode.INVALID_TXN_STATE
    for _ in range(2):
        answer = await transactional.end("payments", producer, commit=False, version=version)
        assert (answer.error_code, answer.producer_epoch) == (0, producer.producer_epoch + 1)
        producer = ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_was_fenced_ends_nothing(transactional: TransactionClient, version: int) -> None:
    producer = await with_a_transaction(transactional)
    fenced = ProducerIdAndEpoch(producer.producer_id, producer.producer_epoch - 1)
    answer = await transactional.end("payments", fenced, version=version)
    assert answer.error_code == (ErrorCode.PRODUCER_FENCED if version >= 2 else ErrorCode.INVALID_PRODUCER_EPOCH)
    stranger = ProducerIdAndEpoch(producer.producer_id + 1, producer.producer_epoch)
    answer = await transactional.end("payments", stranger, version=version)
    assert answer.error_code == ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert await transactional.state_of("payments") == "Ongoing"


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_unknown_transactional_id_and_an_empty_one_are_refused(
    transactional: TransactionClient, version: int
) -> None:
    producer = await transactional.begin("payments")
    unknown = await transactional.end("others", producer, version=version)
    assert unknown.error_code == ErrorCode.INVALID_PRODUCER_ID_MAPPING
    empty = await transactional.end("", producer, version=version)
    assert empty.error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", BUMPING)
async def test_the_end_of_the_transaction_before_does_not_end_the_next(
    transactional: TransactionClient, version: int
) -> None:
    before = await with_a_transaction(transactional)
    ended = await transactional.end("payments", before, version=version)
    producer = ProducerIdAndEpoch(ended.producer_id, ended.producer_epoch)
    await transactional.add_partitions("payments", producer, "orders", 1)
    delayed = await transactional.end("payments", before, version=version)
    assert delayed.error_code == ErrorCode.PRODUCER_FENCED
    assert await transactional.state_of("payments") == "Ongoing"


def test_where_nothing_has_to_be_waited_for_the_answer_is_there_within_the_call() -> None:
    assert handle(Ended(NEXT, None, None)) == EndTxnResponse(producer_id=7, producer_epoch=4)


async def test_else_it_comes_when_the_decision_is_durable_and_every_partition_knows() -> None:
    durable, completed = (asyncio.get_running_loop().create_future() for _ in range(2))
    answer = handle(Ended(NEXT, durable, completed))
    assert not isinstance(answer, EndTxnResponse)
    waiting = asyncio.ensure_future(answer)
    for future in (durable, completed):
        await asyncio.sleep(0)
        assert not waiting.done()
        future.set_result(None)
    assert await waiting == EndTxnResponse(producer_id=7, producer_epoch=4)


async def test_a_decision_that_may_be_lost_is_no_answer() -> None:
    durable = asyncio.get_running_loop().create_future()
    answer = handle(Ended(NEXT, durable, None))
    assert not isinstance(answer, EndTxnResponse)
    durable.set_exception(NotCoordinator("the disk failed"))
    assert (await answer).error_code == ErrorCode.NOT_COORDINATOR


async def test_a_producer_that_needs_another_id_waits_for_that_too() -> None:
    async def ended() -> Ended:
        return Ended(ProducerIdAndEpoch(8, 0), None, None)

    answer = handle(ended())
    assert not isinstance(answer, EndTxnResponse)
    assert await answer == EndTxnResponse(producer_id=8, producer_epoch=0)
