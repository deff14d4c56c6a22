"""Transactions of the SDK, with a broker behind a network that fails when a test wants it.

Each is run twice: as with a cluster of today, and as with one that has ``transaction.version`` below 2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from minikafka.errors import (
    InvalidTransactionTimeout,
    InvalidTxnState,
    MessageTooLarge,
    ProducerFenced,
    RequestTimedOut,
)
from minikafka.net.server import Address
from minikafka.protocol.api_keys import ApiKey
from minikafka_client import (
    AsyncAdmin,
    AsyncConsumer,
    AsyncProducer,
    CommitFailed,
    GroupMetadata,
    NewTopic,
    Producer,
    TopicPartition,
    TransactionAborted,
)
from minikafka_client.producer import transactions
from tests.support.broker import quiet_port, running_broker
from tests.support.frame_proxy import Frame, FrameProxy, frame_proxy

ORDERS = TopicPartition("orders", 0)


@pytest.fixture(params=[2, 0], ids=["version 2", "version 0"], autouse=True)
def transaction_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    if request.param < 2:
        monkeypatch.setattr(transactions, "FEATURE", "of a cluster that does not have it")
    version: int = request.param
    return version


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[FrameProxy]:
    """The way to a broker with the topic ``orders`` of two partitions."""
    random = Random(str(tmp_path))
    port, proxy_port = quiet_port(random), quiet_port(random)
    settings = (
        f"listeners=PLAINTEXT://127.0.0.1:{port}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy_port}",
        "transaction.state.log.num.partitions=2",
        "offsets.topic.num.partitions=2",
    )
    async with (
        running_broker(tmp_path / "data", *settings),
        frame_proxy(Address("127.0.0.1", port), proxy_port) as proxy,
    ):
        async with AsyncAdmin(str(proxy.address)) as admin:
            await admin.create_topics([NewTopic("orders", 2, configs={"max.message.bytes": "1000"})])
        yield proxy


@pytest.fixture
async def producer(network: FrameProxy) -> AsyncIterator[AsyncProducer]:
    async with AsyncProducer(str(network.address), transactional_id="mine", retry_backoff_ms=1) as made:
        yield made


async def committed(network: FrameProxy, count: int) -> list[bytes]:
    """The values that ``read_committed`` sees, which are no more than ``count``."""
    async with AsyncConsumer(
        str(network.address), topics=["orders"], auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        values: list[bytes] = []
        while len(values) < count:
            values += [message.value for message in await consumer.poll()]
        values += [message.value for message in await consumer.poll(timeout_ms=20)]
        return sorted(values)


async def group_offset(network: FrameProxy, group_id: str = "group") -> int | None:
    async with AsyncAdmin(str(network.address)) as admin:
        found = (await admin.list_group_offsets(group_id)).get(ORDERS)
        return None if found is None else found.offset


async def test_what_is_sent_in_a_block_that_ends_well_is_committed(
    network: FrameProxy, producer: AsyncProducer
) -> None:
    for number in range(3):
        async with producer.transaction():
            await producer.send("orders", b"%d" % number, partition=0)
            await producer.send("orders", b"%d" % number, partition=1)
    assert await committed(network, 6) == [b"0", b"0", b"1", b"1", b"2", b"2"]


async def test_what_is_sent_in_a_block_that_fails_is_not(network: FrameProxy, producer: AsyncProducer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with producer.transaction():
            await producer.send_and_wait("orders", b"stored", partition=0)
            delivery = await producer.send("orders", b"waiting", partition=0)
            raise ZeroDivisionError
    assert isinstance(delivery.exception(), TransactionAborted)
    async with producer.transaction():
        await producer.send("orders", b"after", partition=0)
    assert await committed(network, 1) == [b"after"]


async def test_an_empty_transaction_costs_nothing(producer: AsyncProducer) -> None:
    for _ in range(3):
        async with producer.transaction():
            pass
    with pytest.raises(ZeroDivisionError):
        async with producer.transaction():
            raise ZeroDivisionError


async def test_a_transaction_starts_a_producer_that_was_not(network: FrameProxy) -> None:
    producer = AsyncProducer(str(network.address), transactional_id="mine")
    async with producer.transaction():
        pass
    async with producer.transaction():
        await producer.send("orders", b"committed", partition=0)
    await producer.close()
    assert await committed(network, 1) == [b"committed"]


async def test_a_producer_that_is_closed_within_a_transaction_aborts_it(network: FrameProxy) -> None:
    producer = AsyncProducer(str(network.address), transactional_id="mine")
    with pytest.raises(InvalidTxnState):
        async with producer.transaction():
            await producer.send_and_wait("orders", b"aborted", partition=0)
            await producer.close()
    async with AsyncProducer(str(network.address)) as other:
        await other.send("orders", b"after", partition=0)
    assert await committed(network, 1) == [b"after"]


async def test_outside_of_a_transaction_nothing_is_sent(network: FrameProxy, producer: AsyncProducer) -> None:
    with pytest.raises(InvalidTxnState, match="within a transaction"):
        await producer.send_and_wait("orders", b"outside", partition=0)
    with pytest.raises(InvalidTxnState, match="within a transaction"):
        await producer.send_offsets_to_transaction({ORDERS: 1}, GroupMetadata("group"))
    async with producer.transaction():
        await producer.send("orders", b"inside", partition=0)
    assert await committed(network, 1) == [b"inside"]


async def test_transactions_do_not_nest(network: FrameProxy, producer: AsyncProducer) -> None:
    async with producer.transaction():
        await producer.send("orders", b"outer", partition=0)
        with pytest.raises(InvalidTxnState, match="nest"):
            async with producer.transaction():
                raise AssertionError
    assert await committed(network, 1) == [b"outer"]


async def test_what_cannot_be_stored_aborts_its_transaction(network: FrameProxy, producer: AsyncProducer) -> None:
    with pytest.raises(MessageTooLarge):
        async with producer.transaction():
            await producer.send("orders", b"small", partition=0)
            await producer.send("orders", b"x" * 2_000, partition=1)
    async with producer.transaction():
        await producer.send("orders", b"after", partition=1)
    assert await committed(network, 1) == [b"after"]


@pytest.mark.parametrize(
    "api_key", [ApiKey.PRODUCE, ApiKey.END_TXN, ApiKey.ADD_PARTITIONS_TO_TXN, ApiKey.TXN_OFFSET_COMMIT]
)
async def test_a_request_that_is_lost_is_sent_again(
    network: FrameProxy, producer: AsyncProducer, transaction_version: int, api_key: ApiKey
) -> None:
    network.wanted = lambda frame: frame.api_key == api_key
    for number in range(2):
        async with producer.transaction():
            await producer.send("orders", b"%d" % number, partition=0)
            await producer.send_offsets_to_transaction({ORDERS: number}, GroupMetadata("group"))
    assert (network.held is not None) is (api_key != ApiKey.ADD_PARTITIONS_TO_TXN or transaction_version < 2)
    assert await committed(network, 2) == [b"0", b"1"]
    assert await group_offset(network) == 1


async def test_offsets_count_with_the_transaction(network: FrameProxy, producer: AsyncProducer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with producer.transaction():
            await producer.send_offsets_to_transaction({ORDERS: 5}, GroupMetadata("group"))
            raise ZeroDivisionError
    assert await group_offset(network) is None
    async with producer.transaction():
        await producer.send_offsets_to_transaction({}, GroupMetadata("other"))
        await producer.send_offsets_to_transaction({ORDERS: 6}, GroupMetadata("group"))
        assert await group_offset(network) is None
    assert await group_offset(network) == 6


async def test_a_consumer_that_lost_its_place_commits_nothing(network: FrameProxy, producer: AsyncProducer) -> None:
    with pytest.raises(CommitFailed, match="went on without"):
        async with producer.transaction():
            await producer.send("orders", b"lost", partition=0)
            await producer.send_offsets_to_transaction({ORDERS: 5}, GroupMetadata("group", 3, "who"))
    async with producer.transaction():
        await producer.send("orders", b"after", partition=0)
    assert await committed(network, 1) == [b"after"]
    assert await group_offset(network) is None


@pytest.mark.parametrize("when", ["sending", "committing", "committing offsets", "aborting"])
async def test_who_is_replaced_is_told_and_does_nothing_more(
    network: FrameProxy, producer: AsyncProducer, when: str
) -> None:
    with pytest.raises(ZeroDivisionError if when == "aborting" else ProducerFenced):
        async with producer.transaction():
            await producer.send_and_wait("orders", b"of the first", partition=0)
            async with (
                AsyncProducer(str(network.address), transactional_id="mine", retry_backoff_ms=1) as second,
                second.transaction(),
            ):
                await second.send("orders", b"of the second", partition=0)
            if when == "sending":
                await producer.send_and_wait("orders", b"late", partition=0)
            elif when == "committing offsets":
                await producer.send_offsets_to_transaction({ORDERS: 5}, GroupMetadata("group"))
            elif when == "aborting":
                raise ZeroDivisionError
    with pytest.raises(ProducerFenced, match="mine"):
        async with producer.transaction():
            raise AssertionError
    assert await committed(network, 1) == [b"of the second"]


async def test_what_the_one_before_left_open_is_aborted(network: FrameProxy) -> None:
    async with AsyncProducer(str(network.address), transactional_id="mine") as first:
        transaction = first.transaction()
        await transaction.__aenter__()
        await first.send_and_wait("orders", b"left open", partition=0)
        async with (
            AsyncProducer(str(network.address), transactional_id="mine", retry_backoff_ms=1) as second,
            second.transaction(),
        ):
            await second.send("orders", b"after", partition=0)
        await transaction.__aexit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert await committed(network, 1) == [b"after"]


async def test_a_time_out_that_the_broker_does_not_allow_is_refused(network: FrameProxy) -> None:
    producer = AsyncProducer(str(network.address), transactional_id="mine", transaction_timeout_ms=2**31 - 1)
    with pytest.raises(InvalidTransactionTimeout):
        await producer.start()
    await producer.close()


async def test_a_producer_without_transactional_id_has_no_transactions(network: FrameProxy) -> None:
    async with AsyncProducer(str(network.address)) as producer:
        with pytest.raises(InvalidTxnState, match="transactional_id"):
            producer.transaction()
        with pytest.raises(InvalidTxnState, match="transactional_id"):
            await producer.send_offsets_to_transaction({ORDERS: 5}, GroupMetadata("group"))


def test_transactions_need_idempotence() -> None:
    with pytest.raises(ValueError, match="idempotence"):
        AsyncProducer(transactional_id="mine", enable_idempotence=False)
    with pytest.raises(ValueError, match="idempotence"):
        AsyncProducer(transactional_id="mine", acks=1)


@pytest.mark.parametrize("arrives", [False, True])
async def test_after_a_commit_without_answer_the_next_transaction_is_whole_all_the_same(
    network: FrameProxy, arrives: bool
) -> None:
    options = {"transactional_id": "mine", "retry_backoff_ms": 1, "max_block_ms": 1_000}
    async with AsyncProducer(str(network.address), **options) as producer:
        with pytest.raises(RequestTimedOut):
            async with producer.transaction():
                await producer.send("orders", b"in doubt", partition=0)
                network.lost = {ApiKey.END_TXN}
        network.lost = set()
        if arrives:
            await network.deliver()
        async with producer.transaction():
            await producer.send("orders", b"after", partition=0)
    assert await committed(network, 1 + arrives) == [b"after", *([b"in doubt"] if arrives else [])]


@pytest.mark.parametrize("lost", [ApiKey.END_TXN, ApiKey.PRODUCE])
async def test_a_commit_that_is_cancelled_leaves_nothing_to_the_next_transaction(
    network: FrameProxy, producer: AsyncProducer, lost: ApiKey
) -> None:
    is_lost = asyncio.Event()

    def lose(frame: Frame) -> bool:
        if frame.api_key == lost:
            is_lost.set()
            network.lost = {lost}
        return False

    async def transact() -> None:
        async with producer.transaction():
            await producer.send("orders", b"cancelled", partition=0)

    network.wanted = lose
    transacting = asyncio.create_task(transact())
    await is_lost.wait()
    for _ in range(3):  # the second ends the abort that the first began
        transacting.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await transacting
    network.wanted, network.lost = None, set()
    async with producer.transaction():
        await producer.send("orders", b"after", partition=0)
    values = await committed(network, 1)
    assert values == [b"after"]


def test_the_plain_face_has_the_same(tmp_path: Path) -> None:
    from minikafka.testing import running_broker as running

    with running() as broker, Producer(broker.bootstrap_servers, transactional_id="mine") as producer:
        broker.topic("orders")
        with producer.transaction():
            producer.send("orders", b"committed")
            producer.send_offsets_to_transaction({ORDERS: 5}, GroupMetadata("group"))
        with pytest.raises(ZeroDivisionError), producer.transaction():
            producer.send_and_wait("orders", b"aborted")
            raise ZeroDivisionError
        assert [message.value for message in broker.records("orders")] == [b"committed", b"aborted"]
