"""InitProducerId over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikafka.coordinator import places
from minikafka.coordinator.transaction.shard import TransactionShard
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.init_producer_id import InitProducerIdResponse
from minikafka.protocol.messages.list_transactions import ListTransactionsRequest
from minikafka.types import ProducerIdAndEpoch
from tests.support.broker import running_broker
from tests.support.control_plane import versions_of
from tests.support.transaction_client import TransactionClient, transaction_client

VERSIONS = versions_of(ApiKey.INIT_PRODUCER_ID)


def producer_in(answer: InitProducerIdResponse) -> ProducerIdAndEpoch:
    assert answer.error_code == 0, answer
    return ProducerIdAndEpoch(answer.producer_id, answer.producer_epoch)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_idempotent_producer_gets_a_new_id_at_epoch_0(transactional: TransactionClient, version: int) -> None:
    first = producer_in(await transactional.ask_for_id(None, version=version))
    second = producer_in(await transactional.ask_for_id(None, version=version))
    assert (first.producer_epoch, second) == (0, (first.producer_id + 1, 0))


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
async def test_a_producer_without_transactions_that_names_its_id_gets_another(
    transactional: TransactionClient, version: int
) -> None:
    before = producer_in(await transactional.ask_for_id(None))
    after = producer_in(await transactional.ask_for_id(None, producer=before, version=version))
    assert after == (before.producer_id + 1, 0)


@pytest.mark.parametrize("claim", [(5, -1), (-1, 0)])
async def test_an_id_without_its_epoch_is_an_invalid_request(
    transactional: TransactionClient, claim: tuple[int, int]
) -> None:
    answer = await transactional.ask_for_id(None, producer=ProducerIdAndEpoch(*claim))
    assert (answer.error_code, answer.producer_id) == (ErrorCode.INVALID_REQUEST, -1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_transactional_id_keeps_its_producer_id_and_gets_the_next_epoch(
    transactional: TransactionClient, version: int
) -> None:
    await transactional.find_transaction_coordinator("payments")
    first = producer_in(await transactional.ask_for_id("payments", version=version))
    assert first.producer_epoch == 0
    for epoch in (1, 2):
        assert producer_in(await transactional.ask_for_id("payments", version=version)) == (first.producer_id, epoch)


@pytest.mark.parametrize("version", VERSIONS)
async def test_whoever_comes_while_a_transaction_is_open_aborts_it_and_is_to_come_again(
    transactional: TransactionClient, version: int
) -> None:
    before = await transactional.begin("payments")
    await transactional.add_partitions("payments", before, "orders", 0)
    answer = await transactional.ask_for_id("payments", version=version)
    assert (answer.error_code, answer.producer_id) == (ErrorCode.CONCURRENT_TRANSACTIONS, -1)
    after = producer_in(await transactional.ask_for_id("payments", version=version))
    assert after == (before.producer_id, before.producer_epoch + 2)
    assert await transactional.state_of("payments") == "Empty"


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
async def test_a_producer_goes_on_with_the_epoch_after_its_own_until_another_has_come(
    transactional: TransactionClient, version: int
) -> None:
    mine = await transactional.begin("payments")
    bumped = producer_in(await transactional.ask_for_id("payments", producer=mine, version=version))
    assert bumped == (mine.producer_id, mine.producer_epoch + 1)
    again = producer_in(await transactional.ask_for_id("payments", producer=mine, version=version))
    assert again == bumped
    await transactional.begin("payments")
    answer = await transactional.ask_for_id("payments", producer=bumped, version=version)
    assert answer.error_code == (ErrorCode.PRODUCER_FENCED if version >= 4 else ErrorCode.INVALID_PRODUCER_EPOCH)


async def test_an_empty_transactional_id_is_an_invalid_request(transactional: TransactionClient) -> None:
    assert (await transactional.ask_for_id("")).error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("timeout_ms", [0, -1, 900_001, 2**31 - 1])
async def test_a_transaction_time_out_beyond_the_limit_is_refused(
    transactional: TransactionClient, timeout_ms: int
) -> None:
    await transactional.find_transaction_coordinator("payments")
    answer = await transactional.ask_for_id("payments", timeout_ms=timeout_ms)
    assert answer.error_code == ErrorCode.INVALID_TRANSACTION_TIMEOUT


async def test_a_time_out_means_nothing_without_a_transactional_id(transactional: TransactionClient) -> None:
    assert (await transactional.ask_for_id(None, timeout_ms=2**31 - 1)).error_code == 0


async def test_a_transactional_id_is_remembered_over_a_restart(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        before = await client.begin("payments")
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        assert await client.begin("payments") == (before.producer_id, before.producer_epoch + 1)


async def test_while_transactions_are_loaded_clients_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        before = await client.begin("payments")
    gate = asyncio.Event()
    load = TransactionShard.load

    def load_later(shard: TransactionShard) -> Iterator[None]:
        while not gate.is_set():
            yield
        yield from load(shard)

    monkeypatch.setattr(TransactionShard, "load", load_later)
    monkeypatch.setattr(places, "AT_ONCE_BYTES", -1)
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        await client.find_transaction_coordinator("payments")
        codes = [
            (await client.ask_for_id("payments")).error_code,
            (await client.add_partitions("payments", before, "orders", 0))[0],
            await client.add_offsets("payments", before, "billing"),
            (await client.end("payments", before)).error_code,
            (await client.describe("payments")).error_code,
            (await client.ask(ListTransactionsRequest(state_filters=[], producer_id_filters=[]), 2)).error_code,
        ]
        assert codes == [
            ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            *[ErrorCode.COORDINATOR_LOAD_IN_PROGRESS] * 4,
        ]
        gate.set()
        while (answer := await client.ask_for_id("payments")).error_code:
            assert answer.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert producer_in(answer) == (before.producer_id, before.producer_epoch + 1)
