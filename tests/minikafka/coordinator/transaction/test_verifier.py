"""Before the first record of a transaction is in a partition, its coordinator knows of that."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from minikafka.coordinator.transaction import verifier
from minikafka.coordinator.transaction.metadata import TransactionVersion
from minikafka.coordinator.transaction.verifier import TransactionVerifier
from minikafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    TransactionAbortable,
)
from tests.minikafka.coordinator.transaction.harness import LETTERS, ORDERS, ShardHarness


@pytest.fixture
async def harness() -> ShardHarness:
    return ShardHarness()


def verifier_of(harness: ShardHarness) -> TransactionVerifier:
    coordinator = SimpleNamespace(shard_of=lambda _: harness.shard)
    return TransactionVerifier(coordinator)  # type: ignore[arg-type]


async def test_what_was_added_is_confirmed_at_once(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.add(producer, ORDERS, LETTERS)
    for adds in (False, True):
        assert verifier_of(harness).confirm("a", producer, [ORDERS, LETTERS], adds=adds) is None


async def test_what_was_not_is_refused_to_those_who_had_to_tell(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.add(producer, ORDERS)
    with pytest.raises(TransactionAbortable, match="letters-0"):
        verifier_of(harness).confirm("a", producer, [LETTERS], adds=False)
    assert harness.shard.describe("a").partitions == {ORDERS}


async def test_others_have_it_added(harness: ShardHarness) -> None:
    producer = harness.begin()
    assert verifier_of(harness).confirm("a", producer, [ORDERS], adds=True) is None
    assert harness.state() == "Ongoing"
    harness.log.is_held = True
    confirmed = verifier_of(harness).confirm("a", producer, [LETTERS], adds=True)
    assert confirmed is not None
    waiting = asyncio.ensure_future(confirmed)
    await asyncio.sleep(0)
    assert not waiting.done()
    await harness.log.flush()
    await waiting
    assert harness.shard.describe("a").partitions == {ORDERS, LETTERS}
    assert harness.shard.describe("a").client_version is TransactionVersion.TV_2


async def test_who_was_replaced_has_an_invalid_epoch_and_a_stranger_no_mapping(harness: ShardHarness) -> None:
    before, producer = harness.begin(), harness.begin()
    for adds in (False, True):
        with pytest.raises(InvalidProducerEpoch):
            verifier_of(harness).confirm("a", before, [ORDERS], adds=adds)
        with pytest.raises(InvalidProducerIdMapping):
            verifier_of(harness).confirm("other", producer, [ORDERS], adds=adds)


async def test_while_the_transaction_before_is_completed_only_those_wait_who_may_add(harness: ShardHarness) -> None:
    producer = harness.begin()
    harness.add(producer)
    harness.partitions.hold(ORDERS)
    ended = harness.end(producer, version=TransactionVersion.TV_2)
    with pytest.raises(ConcurrentTransactions):
        verifier_of(harness).confirm("a", ended.producer, [LETTERS], adds=False)
    confirmed = verifier_of(harness).confirm("a", ended.producer, [LETTERS], adds=True)
    assert confirmed is not None
    waiting = asyncio.ensure_future(confirmed)
    await asyncio.sleep(0)
    assert not waiting.done()
    harness.partitions.release(ORDERS)
    await waiting
    assert harness.shard.describe("a").partitions == {LETTERS}


async def test_nobody_waits_for_ever(harness: ShardHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "PATIENCE_S", 0.01)
    producer = harness.begin()
    harness.add(producer)
    harness.partitions.hold(ORDERS)
    ended = harness.end(producer, version=TransactionVersion.TV_2)
    confirmed = verifier_of(harness).confirm("a", ended.producer, [LETTERS], adds=True)
    assert confirmed is not None
    with pytest.raises(ConcurrentTransactions):
        await confirmed
