"""Transactions of the clients, alone and beside one another."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from minikafka_client import Admin, Consumer, NewTopic, Producer, TopicPartition
from tests.interop.clients.transacting import READERS, TRANSACTORS, Fenced, Transactor, transacting
from tests.interop.process import BrokerProcess

LAST = b"the last one"

every_transactor = pytest.mark.parametrize("kind", TRANSACTORS, ids=lambda kind: kind.name)


def make_topic(broker: BrokerProcess, topic: str, partitions: int = 1) -> None:
    with Admin(broker.bootstrap) as admin:
        admin.create_topics([NewTopic(topic, partitions)])


def send_last(broker: BrokerProcess, topic: str) -> None:
    """A record outside of transactions, after which nothing comes."""
    with Producer(broker.bootstrap) as producer:
        producer.send(topic, LAST, partition=0)


def write(transactor: Transactor, topic: str, *values: bytes) -> None:
    transactor.begin()
    for value in values:
        transactor.send(topic, 0, value)


@pytest.fixture(scope="module")
def decided_topic(broker: BrokerProcess) -> tuple[str, list[bytes], list[bytes]]:
    """A topic with committed and aborted transactions of everybody; what is committed, and all that is there."""
    topic, committed, everything = "decided", list[bytes](), list[bytes]()
    make_topic(broker, topic)
    for kind in TRANSACTORS:
        with transacting(kind, broker.bootstrap, f"decided-{kind.name}") as transactor:
            for number, is_committed in enumerate([True, False, False, True, True, False]):
                values = [f"{kind.name} {number}.{index}".encode() for index in range(3)]
                write(transactor, topic, *values)
                transactor.flush()
                if is_committed:
                    transactor.commit()
                    committed += values
                else:
                    transactor.abort()
                everything += values
    send_last(broker, topic)
    return topic, committed, everything


@pytest.mark.parametrize("reader", READERS)
def test_consumers_of_committed_records_see_exactly_those(
    broker: BrokerProcess, decided_topic: tuple[str, list[bytes], list[bytes]], reader: str
) -> None:
    topic, committed, everything = decided_topic
    assert READERS[reader](broker.bootstrap, topic, LAST, "read_committed") == [*committed, LAST]
    assert READERS[reader](broker.bootstrap, topic, LAST, "read_uncommitted") == [*everything, LAST]


@every_transactor
def test_a_transaction_is_one_over_partitions_and_topics(
    broker: BrokerProcess, topic: str, kind: type[Transactor]
) -> None:
    topics = [f"{topic}-{index}" for index in range(2)]
    for name in topics:
        make_topic(broker, name, 2)
    with (
        transacting(kind, broker.bootstrap, topic) as transactor,
        Consumer(
            broker.bootstrap, topics=topics, auto_offset_reset="earliest", isolation_level="read_committed"
        ) as consumer,
    ):
        for is_committed in (False, True):
            transactor.begin()
            for name in topics:
                for partition in range(2):
                    transactor.send(name, partition, str(is_committed).encode())
            transactor.flush()
            assert consumer.poll(timeout_ms=50) == []
            transactor.commit() if is_committed else transactor.abort()
        found = []
        while len(found) < 4:
            found += consumer.poll()
        assert sorted((message.topic, message.partition) for message in found) == [
            (name, partition) for name in topics for partition in range(2)
        ]
        assert {message.value for message in found} == {b"True"}


@every_transactor
@pytest.mark.parametrize("successor", TRANSACTORS, ids=lambda kind: kind.name)
def test_of_two_producers_with_one_id_the_first_is_fenced(
    broker: BrokerProcess, topic: str, kind: type[Transactor], successor: type[Transactor]
) -> None:
    make_topic(broker, topic)
    with transacting(kind, broker.bootstrap, topic) as first:
        write(first, topic, b"of the first")
        first.flush()
        with transacting(successor, broker.bootstrap, topic) as second:
            with pytest.raises(Fenced):
                first.commit()
            write(second, topic, b"of the second")
            second.commit()
    send_last(broker, topic)
    assert READERS["minikafka"](broker.bootstrap, topic, LAST, "read_committed") == [b"of the second", LAST]


@every_transactor
def test_offsets_count_with_the_transaction(broker: BrokerProcess, topic: str, kind: type[Transactor]) -> None:
    make_topic(broker, topic)
    place = TopicPartition(topic, 0)
    with transacting(kind, broker.bootstrap, topic) as transactor, Admin(broker.bootstrap) as admin:
        seen = []
        for offset, is_committed in [(5, False), (6, True), (7, False)]:
            transactor.begin()
            transactor.send(topic, 0, b"%d" % offset)
            transactor.send_offset(topic, 0, offset, topic)
            before = admin.list_group_offsets(topic).get(place)
            transactor.commit() if is_committed else transactor.abort()
            after = admin.list_group_offsets(topic).get(place)
            seen.append((before and before.offset, after and after.offset))
    assert seen == [(None, None), (None, 6), (6, 6)]


@every_transactor
def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(
    broker: BrokerProcess, topic: str, kind: type[Transactor]
) -> None:
    make_topic(broker, topic)
    with transacting(kind, broker.bootstrap, topic, timeout_ms=1_000) as transactor:
        write(transactor, topic, b"too late")
        transactor.flush()
        send_last(broker, topic)  # nobody who reads committed records gets to it before the transaction is decided
        assert READERS["minikafka"](broker.bootstrap, topic, LAST, "read_committed") == [LAST]
        with pytest.raises(Fenced):
            transactor.commit()


def test_everybody_has_transactions_in_one_partition_at_a_time(broker: BrokerProcess, topic: str) -> None:
    make_topic(broker, topic)
    committed = set()
    with ExitStack() as stack:
        transactors = [
            stack.enter_context(transacting(kind, broker.bootstrap, f"{topic}-{kind.name}")) for kind in TRANSACTORS
        ]
        for turn in range(6):
            for transactor in transactors:
                write(transactor, topic, f"{transactor.name} {turn}".encode())
                transactor.flush()
            for place, transactor in enumerate(transactors):
                if (turn + place) % 3:
                    transactor.commit()
                    committed.add(f"{transactor.name} {turn}".encode())
                else:
                    transactor.abort()
    send_last(broker, topic)
    for read in READERS.values():
        values = read(broker.bootstrap, topic, LAST, "read_committed")
        assert len(values) == len(set(values))
        assert set(values) == {*committed, LAST}
