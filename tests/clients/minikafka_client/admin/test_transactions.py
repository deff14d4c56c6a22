from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from minikafka.errors import (
    InvalidProducerEpoch,
    InvalidRegularExpression,
    ProducerFenced,
    TransactionalIdNotFound,
    UnknownTopicOrPartition,
    UnsupportedVersion,
)
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from minikafka.protocol.messages.list_transactions import TransactionState as ListedState
from minikafka_client import (
    AsyncAdmin,
    AsyncConsumer,
    AsyncProducer,
    NewTopic,
    TopicPartition,
    TransactionListing,
    TransactionState,
)
from tests.clients.support.fake_cluster import FakeCluster
from tests.support.broker import running_broker
from tests.support.hanging import forget_transactions, leave_open

ORDERS = [TopicPartition("orders", 0), TopicPartition("orders", 1)]


@pytest.fixture
async def admin(admin: AsyncAdmin) -> AsyncAdmin:
    """An admin of a broker that has a topic with two partitions."""
    await admin.create_topics([NewTopic("orders", num_partitions=2)])
    return admin


@asynccontextmanager
async def open_transaction(bootstrap: str, transactional_id: str = "payments") -> AsyncIterator[AsyncProducer]:
    """A producer in the middle of a transaction, in one partition."""
    async with AsyncProducer(bootstrap, transactional_id=transactional_id) as producer, producer.transaction():
        await producer.send_and_wait("orders", b"tea", partition=0)
        yield producer


async def listed(admin: AsyncAdmin, **filters: object) -> list[str]:
    return [found.transactional_id for found in await admin.list_transactions(**filters)]  # type: ignore[arg-type]


async def test_transactional_ids_are_listed_by_state_producer_duration_and_pattern(
    admin: AsyncAdmin, bootstrap: str
) -> None:
    assert await admin.list_transactions() == []
    async with open_transaction(bootstrap, "refunds"):
        pass
    async with open_transaction(bootstrap):
        first, second = await admin.list_transactions()
        assert first == ("payments", first.producer_id, TransactionState.ONGOING)
        assert second == ("refunds", second.producer_id, TransactionState.COMPLETE_COMMIT)
        assert await listed(admin, states=[TransactionState.ONGOING]) == ["payments"]
        assert await listed(admin, states=["Ongoing", "CompleteCommit"]) == ["payments", "refunds"]
        assert await listed(admin, producer_ids=[second.producer_id]) == ["refunds"]
        assert await listed(admin, transactional_id_pattern="re.*") == ["refunds"]
        while not (old := await listed(admin, running_for_ms=1, states=["Ongoing"])):
            pass
        assert old == ["payments"]
        assert await listed(admin, running_for_ms=3_600_000) == []
        with pytest.raises(InvalidRegularExpression):
            await admin.list_transactions(transactional_id_pattern="(")


async def test_an_open_transaction_is_described_with_what_it_writes_to(admin: AsyncAdmin, bootstrap: str) -> None:
    async with open_transaction(bootstrap) as producer:
        await producer.send_and_wait("orders", b"milk", partition=1)
        found = (await admin.describe_transactions(["payments"]))["payments"]
        assert (found.transactional_id, found.state) == ("payments", TransactionState.ONGOING)
        assert found.partitions == set(ORDERS)
        assert found.start_time_ms is not None
        assert found.timeout_ms == 60_000
        assert found.coordinator_id == (await admin.describe_cluster()).brokers[0].node_id
    after = (await admin.describe_transactions(["payments"]))["payments"]
    assert (after.state, after.partitions) == (TransactionState.COMPLETE_COMMIT, frozenset())
    assert (after.producer_id, after.producer_epoch) == (found.producer_id, found.producer_epoch + 1)
    async with AsyncProducer(bootstrap, transactional_id="new"):
        assert (await admin.describe_transactions(["new"]))["new"].start_time_ms is None
    with pytest.raises(TransactionalIdNotFound, match="'nobody': it does not exist"):
        await admin.describe_transactions(["nobody"])


async def test_partitions_tell_of_their_producers(admin: AsyncAdmin, bootstrap: str) -> None:
    async with open_transaction(bootstrap) as producer:
        await producer.send_and_wait("orders", b"milk", partition=0)
        described = await admin.describe_producers(ORDERS)
        (state,) = described[ORDERS[0]]
        assert described[ORDERS[1]] == []
        transaction = (await admin.describe_transactions(["payments"]))["payments"]
        assert (state.producer_id, state.producer_epoch) == (transaction.producer_id, transaction.producer_epoch)
        assert (state.last_sequence, state.transaction_start_offset, state.coordinator_epoch) == (1, 0, None)
    (state,) = (await admin.describe_producers(ORDERS[:1]))[ORDERS[0]]
    assert (state.transaction_start_offset, state.coordinator_epoch) == (None, 0)
    for where in (TopicPartition("orders", 2), TopicPartition("nothing", 0)):
        with pytest.raises(UnknownTopicOrPartition):
            await admin.describe_producers([where])


async def test_a_producer_that_is_fenced_has_its_transaction_aborted(admin: AsyncAdmin, bootstrap: str) -> None:
    with pytest.raises(ProducerFenced):
        async with open_transaction(bootstrap):
            before = (await admin.describe_transactions(["payments"]))["payments"]
            fenced = (await admin.fence_producers(["payments"]))["payments"]
    assert fenced.producer_id == before.producer_id
    assert fenced.producer_epoch > before.producer_epoch
    assert (await admin.describe_transactions(["payments"]))["payments"].state is TransactionState.EMPTY
    (state,) = (await admin.describe_producers(ORDERS[:1]))[ORDERS[0]]
    assert state.transaction_start_offset is None


async def test_a_transaction_that_hangs_is_aborted_and_readers_go_on(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as broker:
        lost = await leave_open(broker.bootstrap)
        async with AsyncProducer(broker.bootstrap) as producer:
            await producer.send_and_wait("orders", b"kept", partition=0)
    forget_transactions(tmp_path)
    async with running_broker(tmp_path) as broker, AsyncAdmin(broker.bootstrap) as admin:
        assert await admin.list_transactions() == []
        states = (await admin.describe_producers(ORDERS[:1]))[ORDERS[0]]
        (hanging,) = (state for state in states if state.transaction_start_offset is not None)
        assert (hanging.producer_id, hanging.transaction_start_offset) == (lost.producer_id, 0)
        await admin.abort_transaction(ORDERS[0], hanging)
        async with AsyncConsumer(
            broker.bootstrap, topics=["orders"], auto_offset_reset="earliest", isolation_level="read_committed"
        ) as consumer:
            assert (await anext(consumer)).value == b"kept"
        states = (await admin.describe_producers(ORDERS[:1]))[ORDERS[0]]
        assert [state.transaction_start_offset for state in states] == [None, None]


async def test_what_cannot_be_aborted_is_said(admin: AsyncAdmin, bootstrap: str) -> None:
    async with open_transaction(bootstrap):
        (state,) = (await admin.describe_producers(ORDERS[:1]))[ORDERS[0]]
    async with open_transaction(bootstrap):
        with pytest.raises(InvalidProducerEpoch, match=r"orders-0"):
            await admin.abort_transaction(ORDERS[0], state)
        with pytest.raises(UnknownTopicOrPartition):
            await admin.abort_transaction(TopicPartition("nothing", 0), state)


async def test_filters_are_not_asked_of_brokers_that_do_not_know_them(cluster: FakeCluster) -> None:
    state = ListedState(transactional_id="payments", producer_id=7, transaction_state="SomethingNew")

    def answer(_node_id: int, _request: ListTransactionsRequest) -> ListTransactionsResponse:
        return ListTransactionsResponse(unknown_state_filters=[], transaction_states=[state])

    cluster.serve(ApiKey.LIST_TRANSACTIONS, 0, answer)
    async with AsyncAdmin(cluster.bootstrap_servers) as admin:
        assert await admin.list_transactions() == [TransactionListing("payments", 7, TransactionState.UNKNOWN)]
        with pytest.raises(UnsupportedVersion):
            await admin.list_transactions(running_for_ms=1)
    cluster.serve(ApiKey.LIST_TRANSACTIONS, 1, answer)
    async with AsyncAdmin(cluster.bootstrap_servers) as admin:
        assert await admin.list_transactions(running_for_ms=1)
        with pytest.raises(UnsupportedVersion):
            await admin.list_transactions(transactional_id_pattern="x")
