"""DescribeTransactions over the wire."""

from __future__ import annotations

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.describe_transactions import DescribeTransactionsRequest, TopicData
from tests.support.transaction_client import TransactionClient


async def test_a_transaction_is_described_as_it_stands(transactional: TransactionClient) -> None:
    producer = await transactional.begin("payments", timeout_ms=12_345)
    empty = await transactional.describe("payments")
    assert (empty.error_code, empty.transaction_state, empty.transaction_start_time_ms) == (0, "Empty", -1)
    assert (empty.transaction_timeout_ms, empty.producer_id, empty.producer_epoch) == (12_345, *producer)
    await transactional.create_topic("bills", 1)
    await transactional.add_partitions("payments", producer, "orders", 3, 0)
    await transactional.add_partitions("payments", producer, "bills", 0)
    ongoing = await transactional.describe("payments")
    assert ongoing.transaction_state == "Ongoing"
    assert ongoing.transaction_start_time_ms > 0
    assert ongoing.topics == [TopicData(topic="bills", partitions=[0]), TopicData(topic="orders", partitions=[0, 3])]


async def test_each_id_has_its_own_error(transactional: TransactionClient) -> None:
    await transactional.begin("payments")
    answer = await transactional.ask(DescribeTransactionsRequest(transactional_ids=["others", "payments", ""]), 0)
    assert [(one.transactional_id, one.error_code) for one in answer.transaction_states] == [
        ("others", ErrorCode.TRANSACTIONAL_ID_NOT_FOUND),
        ("payments", 0),
        ("", ErrorCode.INVALID_REQUEST),
    ]


async def test_before_the_first_transactional_id_nobody_coordinates(transactional: TransactionClient) -> None:
    assert (await transactional.describe("payments")).error_code == ErrorCode.NOT_COORDINATOR
