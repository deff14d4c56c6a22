"""Every codec, sent by every client and read by every other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from minikafka.records.compression import Compression
from tests.interop.clients.client import CODECS, NewRecord, Reader, Sender, Sending, read_all
from tests.interop.clients.everyone import LIBRARIES, READERS, SENDERS
from tests.interop.process import BrokerProcess

RECORDS_PER_CODEC = 1_000


def records_of(codec: str) -> list[NewRecord]:
    """What is sent with a codec: to a partition of its own, and easy to compress."""
    partition = CODECS.index(codec)
    return [
        NewRecord(b"key %d" % (number % 7), f"{codec} record {number}: {'abc' * 30}".encode(), partition)
        for number in range(RECORDS_PER_CODEC)
    ]


@pytest.fixture(scope="module")
def sent(broker: BrokerProcess) -> Callable[[Sender], str]:
    """The topic that holds what a client sent, made when it is first asked for."""

    @cache
    def send(sender: Sender) -> str:
        topic = f"codecs-{sender.name.replace(' ', '-')}"
        LIBRARIES[0].values[0].create_topic(broker.bootstrap, topic, len(CODECS), {})
        for codec in CODECS:
            sender.send(broker.bootstrap, topic, records_of(codec), Sending(codec))
        return topic

    return send


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sender", SENDERS)
def test_what_one_client_compresses_another_reads(
    broker: BrokerProcess, sent: Callable[[Sender], str], sender: Sender, reader: Reader
) -> None:
    found = read_all(reader, broker.bootstrap, sent(sender))
    for partition, codec in enumerate(CODECS):
        theirs = [record for record in found if record.partition == partition]
        assert [record.offset for record in theirs] == list(range(RECORDS_PER_CODEC)), codec
        assert [(record.key, record.value) for record in theirs] == [new[:2] for new in records_of(codec)], codec


@pytest.mark.parametrize("sender", SENDERS)
def test_batches_are_stored_as_they_were_compressed(
    broker: BrokerProcess, sent: Callable[[Sender], str], sender: Sender
) -> None:
    topic = sent(sender)
    for partition, codec in enumerate(CODECS):
        used = {batch.compression for batch in broker.batches(topic, partition)}
        assert used == {Compression[codec.upper()]}
