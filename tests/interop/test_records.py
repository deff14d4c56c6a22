"""What producers send and consumers get, beyond plain keys and values."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from confluent_kafka import Consumer as ConfluentConsumer
from confluent_kafka import TopicPartition as ConfluentPartition

from minikafka.errors import ErrorCode
from minikafka_client import Producer
from tests.interop.clients.client import (
    Follower,
    NewRecord,
    Reader,
    Record,
    Refused,
    Sender,
    Sending,
    Start,
    TimeFinder,
    read_all,
)
from tests.interop.clients.command_line import CommandLine
from tests.interop.clients.confluent import Confluent
from tests.interop.clients.everyone import BUT_THE_COMMAND_LINE, LIBRARIES, READERS, SENDERS, WITH_KCAT
from tests.interop.clients.kcat import Kcat
from tests.interop.clients.sdk import Sdk
from tests.interop.process import BrokerProcess

NO_PRODUCER = -1
FOR_EVER = {"retention.ms": "-1"}
"""For records from long ago."""

ODD_RECORDS = [
    NewRecord(b"key", b"value", 0, 1_000, (("header", b"text"), ("header", b"again"), ("other", b""))),
    NewRecord(None, b"no key", 0, 1_000),
    NewRecord(b"no value", None, 0, 1_000),
    NewRecord(b"", b"", 0, 1_000),
    NewRecord(bytes(range(256)), b"\n\0\xff" * 1_000, 0, 1_000),
    NewRecord("schlüssel".encode(), "снег ❄".encode(), 0, 1_000),
    NewRecord(b"large", os.urandom(300_000), 0, 1_000),
]


@pytest.fixture(scope="module")
def odd_topic(broker: BrokerProcess) -> str:
    """Every library's odd records, one after the other."""
    topic = "odd-records"
    Sdk().create_topic(broker.bootstrap, topic, 1, FOR_EVER)
    for sender in LIBRARIES:
        sender.values[0].send(broker.bootstrap, topic, ODD_RECORDS)
    return topic


@pytest.mark.parametrize("reader", READERS)
def test_odd_records_come_out_as_they_went_in(broker: BrokerProcess, odd_topic: str, reader: Reader) -> None:
    found = read_all(reader, broker.bootstrap, odd_topic)
    expected = [(new.timestamp_ms, new.key, new.value, new.headers) for _ in LIBRARIES for new in ODD_RECORDS]
    assert [record[2:] for record in found] == expected


@WITH_KCAT
def test_kcat_sends_headers_and_nulls(broker: BrokerProcess, topic: str) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 1, {})
    records = [
        NewRecord(b"key", b"value", headers=(("a", b"1"), ("b", b"2"))),
        NewRecord(b"gone", None, headers=(("a", b"1"), ("b", b"2"))),
        NewRecord(None, b"value", headers=(("a", b"1"), ("b", b"2"))),
    ]
    Kcat().send(broker.bootstrap, topic, records)
    found = read_all(Sdk(), broker.bootstrap, topic)
    assert [(record.key, record.value, record.headers) for record in found] == [
        (record.key, record.value, record.headers) for record in records
    ]


@pytest.mark.parametrize("is_idempotent", [True, False])
@pytest.mark.parametrize("sender", SENDERS)
def test_everything_arrives_once_and_in_order(
    broker: BrokerProcess, topic: str, sender: Sender, is_idempotent: bool
) -> None:
    if not is_idempotent and isinstance(sender, CommandLine):
        pytest.skip("it is always idempotent")
    Sdk().create_topic(broker.bootstrap, topic, 1, {})
    records = [NewRecord(b"k", b"%06d" % number * 20, 0) for number in range(5_000)]
    sender.send(broker.bootstrap, topic, records, Sending(is_idempotent=is_idempotent))
    found = read_all(Confluent(), broker.bootstrap, topic)
    assert [record.value for record in found] == [record.value for record in records]
    batches = broker.batches(topic, 0)
    assert {batch.producer_id == NO_PRODUCER for batch in batches} == {not is_idempotent}
    if is_idempotent:
        assert len({(batch.producer_id, batch.producer_epoch) for batch in batches}) == 1
        assert batches[0].base_sequence == 0
        for before, after in pairwise(batches):
            assert after.base_sequence == before.last_sequence + 1


@pytest.mark.parametrize("acks", [0, 1])
@pytest.mark.parametrize("sender", SENDERS)
def test_fewer_acknowledgements_do_as_well(broker: BrokerProcess, topic: str, sender: Sender, acks: int) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 1, {})
    records = [NewRecord(b"k", b"%d" % number, 0) for number in range(500)]
    sender.send(broker.bootstrap, topic, records, Sending(acks=acks, is_idempotent=False))
    found = read_until(broker, topic, len(records))
    assert [record.value for record in found] == [record.value for record in records]


def read_until(broker: BrokerProcess, topic: str, count: int) -> list[Record]:
    """Read the topic until it holds so many records: who sends without acknowledgements does not know when."""
    found: list[Record] = []
    for _ in range(1_000):
        found = read_all(Sdk(), broker.bootstrap, topic)
        if len(found) >= count:
            break
    return found


@pytest.mark.parametrize("follower", BUT_THE_COMMAND_LINE)
def test_a_waiting_consumer_gets_a_record_as_soon_as_it_is_stored(
    broker: BrokerProcess, topic: str, follower: Follower
) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 1, {})
    with Producer(broker.bootstrap) as producer:

        def send_the_next(record: Record) -> None:
            producer.send(topic, str(record.offset + 1))

        producer.send_and_wait(topic, "0")
        started = time.monotonic()
        follower.follow(broker.bootstrap, topic, 20, 15_000, send_the_next)
    assert time.monotonic() - started < 10  # one fetch that is not woken lasts longer


@pytest.mark.parametrize("sender", SENDERS)
def test_a_record_larger_than_its_topic_allows_is_refused_alone(
    broker: BrokerProcess, topic: str, sender: Sender
) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 1, {"max.message.bytes": "20000"})
    letters = os.urandom(20_000).hex().encode()
    with pytest.raises(Refused) as refused:
        sender.send(broker.bootstrap, topic, [NewRecord(b"k", letters, 0)])
    assert refused.value.code == ErrorCode.MESSAGE_TOO_LARGE or "exceeds max.message.bytes" in str(refused.value)
    sender.send(broker.bootstrap, topic, [NewRecord(b"k", b"small", 0)])
    assert [record.value for record in read_all(Confluent(), broker.bootstrap, topic)] == [b"small"]


@pytest.mark.parametrize("sender", SENDERS)
def test_a_topic_is_made_when_something_is_sent_to_it(broker: BrokerProcess, topic: str, sender: Sender) -> None:
    sender.send(broker.bootstrap, topic, [NewRecord(b"k", b"v")])
    assert [record.value for record in read_all(Confluent(), broker.bootstrap, topic)] == [b"v"]
    assert Confluent().partition_count(broker.bootstrap, topic) == 2


@pytest.fixture(scope="module")
def strict_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that makes no topics unless it is told to."""
    with BrokerProcess(tmp_path_factory.mktemp("strict"), "auto.create.topics.enable=false") as process:
        yield process


@pytest.mark.parametrize("sender", BUT_THE_COMMAND_LINE)
def test_nothing_is_sent_to_a_topic_that_is_not_made(strict_broker: BrokerProcess, topic: str, sender: Sender) -> None:
    with pytest.raises(Refused) as refused:
        sender.send(strict_broker.bootstrap, topic, [NewRecord(b"k", b"v")], Sending(timeout_s=1))
    assert refused.value.code in {None, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.REQUEST_TIMED_OUT}
    assert Confluent().topics(strict_broker.bootstrap) == set()


@pytest.fixture(scope="module")
def timed_topic(broker: BrokerProcess) -> str:
    """Two partitions with times of the producers' own, which go back now and then; one record to a batch."""
    topic = "timed"
    Sdk().create_topic(broker.bootstrap, topic, 2, FOR_EVER)
    for moment in (1_000, 3_000, 2_000, 2_000, 5_000, 4_000):
        Sdk().send(broker.bootstrap, topic, [NewRecord(None, b"v", 0, moment)])
    Sdk().send(broker.bootstrap, topic, [NewRecord(None, b"v", 1, moment) for moment in (1_000, 4_000, 2_500, 4_000)])
    return topic


@pytest.mark.parametrize("finder", BUT_THE_COMMAND_LINE)
@pytest.mark.parametrize(
    ("moment", "first", "second"),
    [(0, 0, 0), (1_000, 0, 0), (1_001, 1, 1), (2_500, 1, 1), (3_001, 4, 1), (4_500, 4, None), (5_001, None, None)],
)
def test_the_first_record_of_a_time_or_later_is_found(
    broker: BrokerProcess, timed_topic: str, finder: TimeFinder, moment: int, first: int | None, second: int | None
) -> None:
    assert finder.offsets_at(broker.bootstrap, timed_topic, moment) == {0: first, 1: second}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_older_than_a_time_is_skipped(broker: BrokerProcess, timed_topic: str, reader: Reader) -> None:
    found = read_all(reader, broker.bootstrap, timed_topic, Start(timestamp_ms=3_001))
    assert [(record.partition, record.offset) for record in found] == [(0, 4), (0, 5), (1, 1), (1, 2), (1, 3)]


@pytest.fixture(scope="module")
def stamped_topic(broker: BrokerProcess) -> str:
    topic = "stamped"
    Sdk().create_topic(broker.bootstrap, topic, 1, {"message.timestamp.type": "LogAppendTime"})
    for sender in LIBRARIES:
        sender.values[0].send(broker.bootstrap, topic, [NewRecord(None, b"v", 0, 1_000)], Sending("gzip"))
    return topic


@pytest.mark.parametrize("reader", READERS)
def test_the_brokers_own_time_reaches_consumers(broker: BrokerProcess, stamped_topic: str, reader: Reader) -> None:
    found = read_all(reader, broker.bootstrap, stamped_topic)
    stored = [batch.max_timestamp_ms for batch in broker.batches(stamped_topic, 0)]
    assert [record.timestamp_ms for record in found] == stored
    assert min(stored) > 1_700_000_000_000


def test_librdkafka_sees_leader_epoch_0_and_fetches_with_it(broker: BrokerProcess, topic: str) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 1, {})
    Sdk().send(broker.bootstrap, topic, [NewRecord(None, b"v", 0)])
    consumer = ConfluentConsumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "check.crcs": True})
    try:
        consumer.assign([ConfluentPartition(topic, 0, 0, leader_epoch=0)])
        message = consumer.poll(20)
        assert message.error() is None
        assert message.value() == b"v"
        assert message.leader_epoch() == 0
    finally:
        consumer.close()


def test_a_consumer_beyond_the_end_is_told_so(broker: BrokerProcess, topic: str) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 1, {})
    Sdk().send(broker.bootstrap, topic, [NewRecord(None, b"v", 0)])
    with pytest.raises(Refused, match="Offset out of range"):
        read_all(Confluent(), broker.bootstrap, topic, Start(offset=5))
