"""AddOffsetsToTxn over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.coordinator.partitioning import partition_for
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.types import GROUP_METADATA_TOPIC, ProducerIdAndEpoch
from tests.support.broker import running_broker
from tests.support.control_plane import versions_of
from tests.support.transaction_client import TransactionClient, transaction_client

VERSIONS = versions_of(ApiKey.ADD_OFFSETS_TO_TXN)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_partition_of_the_group_joins_the_transaction(transactional: TransactionClient, version: int) -> None:
    producer = await transactional.begin("payments")
    assert await transactional.add_offsets("payments", producer, "billing", version=version) == 0
    found = await transactional.describe("payments")
    assert (found.transaction_state, [(topic.topic, topic.partitions) for topic in found.topics]) == (
        "Ongoing",
        [(GROUP_METADATA_TOPIC, [partition_for("billing", 5)])],
    )


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_was_fenced_or_is_unknown_adds_nothing(transactional: TransactionClient, version: int) -> None:
    before = await transactional.begin("payments")
    producer = await transactional.begin("payments")
    fenced = ErrorCode.PRODUCER_FENCED if version >= 2 else ErrorCode.INVALID_PRODUCER_EPOCH
    stranger = ProducerIdAndEpoch(producer.producer_id + 1, producer.producer_epoch)
    outcomes = [
        await transactional.add_offsets(name, who, "billing", version=version)
        for name, who in [("payments", before), ("payments", stranger), ("others", producer), ("", producer)]
    ]
    assert outcomes == [
        fenced,
        ErrorCode.INVALID_PRODUCER_ID_MAPPING,
        ErrorCode.INVALID_PRODUCER_ID_MAPPING,
        ErrorCode.INVALID_REQUEST,
    ]


async def test_a_transaction_may_be_the_first_that_needs_the_topic_of_groups(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        producer = await client.begin("payments")
        assert await client.add_offsets("payments", producer, "billing") == 0
        assert GROUP_METADATA_TOPIC in await client.topic_names()
