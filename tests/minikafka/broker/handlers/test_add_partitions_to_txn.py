"""AddPartitionsToTxn over the wire."""

from __future__ import annotations

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from minikafka.types import GROUP_METADATA_TOPIC, ProducerIdAndEpoch
from tests.support.control_plane import versions_of
from tests.support.transaction_client import TransactionClient

VERSIONS = versions_of(ApiKey.ADD_PARTITIONS_TO_TXN)
OF_CLIENTS = [version for version in VERSIONS if version < 4]
OF_BROKERS = [version for version in VERSIONS if version >= 4]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_first_partition_begins_the_transaction_and_others_join_it(
    transactional: TransactionClient, version: int
) -> None:
    producer = await transactional.begin("payments")
    assert await transactional.add_partitions("payments", producer, "orders", 1, version=version) == {1: 0}
    assert await transactional.add_partitions("payments", producer, "orders", 1, 3, version=version) == {1: 0, 3: 0}
    found = await transactional.describe("payments")
    assert (found.transaction_state, [(topic.topic, topic.partitions) for topic in found.topics]) == (
        "Ongoing",
        [("orders", [1, 3])],
    )


@pytest.mark.parametrize("version", VERSIONS)
async def test_with_one_partition_that_does_not_exist_none_is_added(
    transactional: TransactionClient, version: int
) -> None:
    producer = await transactional.begin("payments")
    assert await transactional.add_partitions("payments", producer, "orders", 0, 4, version=version) == {
        0: ErrorCode.OPERATION_NOT_ATTEMPTED,
        4: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    }
    assert await transactional.state_of("payments") == "Empty"


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_was_fenced_or_is_unknown_adds_nothing(transactional: TransactionClient, version: int) -> None:
    before = await transactional.begin("payments")
    producer = await transactional.begin("payments")
    fenced = ErrorCode.PRODUCER_FENCED if version >= 2 else ErrorCode.INVALID_PRODUCER_EPOCH
    stranger = ProducerIdAndEpoch(producer.producer_id + 1, producer.producer_epoch)
    outcomes = [
        await transactional.add_partitions(name, who, "orders", 0, version=version)
        for name, who in [("payments", before), ("payments", stranger), ("others", producer), ("", producer)]
    ]
    assert [codes[0] for codes in outcomes] == [
        fenced,
        ErrorCode.INVALID_PRODUCER_ID_MAPPING,
        ErrorCode.INVALID_PRODUCER_ID_MAPPING,
        ErrorCode.INVALID_REQUEST,
    ]


@pytest.mark.parametrize("version", OF_CLIENTS)
async def test_clients_add_no_partitions_of_internal_topics(transactional: TransactionClient, version: int) -> None:
    producer = await transactional.begin("payments")
    await transactional.find_coordinator("any")
    codes = await transactional.add_partitions("payments", producer, GROUP_METADATA_TOPIC, 0, version=version)
    assert codes == {0: ErrorCode.TOPIC_AUTHORIZATION_FAILED}


@pytest.mark.parametrize("version", OF_BROKERS)
async def test_who_only_verifies_is_told_what_is_there_and_changes_nothing(
    transactional: TransactionClient, version: int
) -> None:
    missing = ErrorCode.TRANSACTION_ABORTABLE if version >= 5 else ErrorCode.INVALID_TXN_STATE
    producer = await transactional.begin("payments")
    await transactional.add_partitions("payments", producer, "orders", 1)
    codes = await transactional.add_partitions("payments", producer, "orders", 0, 1, version=version, verify_only=True)
    assert codes == {0: missing, 1: 0}
    await transactional.end("payments", producer)
    codes = await transactional.add_partitions("payments", producer, "orders", 1, version=version, verify_only=True)
    assert codes == {1: missing}


@pytest.mark.parametrize("version", OF_BROKERS)
async def test_several_transactions_are_answered_each_for_itself(
    transactional: TransactionClient, version: int
) -> None:
    transactions = [
        AddPartitionsToTxnTransaction(
            transactional_id=name,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            topics=[AddPartitionsToTxnTopic(name="orders", partitions=[index])],
        )
        for index, (name, producer) in enumerate(
            [
                ("a", await transactional.begin("a")),
                ("b", ProducerIdAndEpoch(0, 0)),
                ("c", await transactional.begin("c")),
            ]
        )
    ]
    answer = await transactional.ask(AddPartitionsToTxnRequest(transactions=transactions), version)
    assert {
        result.transactional_id: result.topic_results[0].results_by_partition[0].partition_error_code
        for result in answer.results_by_transaction
    } == {"a": 0, "b": ErrorCode.INVALID_PRODUCER_ID_MAPPING, "c": 0}
    assert [await transactional.state_of(name) for name in "ac"] == ["Ongoing", "Ongoing"]
