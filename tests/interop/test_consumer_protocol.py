"""librdkafka with ``group.protocol=consumer`` (KIP-848): it joins, reads, commits, and goes on where it was."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, Message

from tests.interop.clients.client import NewRecord
from tests.interop.clients.confluent import Confluent
from tests.interop.process import BrokerProcess

_TIMEOUT_S = 30.0
RECORDS = 100


def consumer(bootstrap: str, group_id: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group_id,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )


def read(reader: Consumer, count: int) -> list[bytes]:
    """The values of so many records."""
    found: list[Message] = []
    deadline = time.monotonic() + _TIMEOUT_S
    while len(found) < count and time.monotonic() < deadline:
        found += reader.consume(count - len(found), timeout=0.1)
    assert [message.error() for message in found] == [None] * count
    return [message.value() or b"" for message in found]


def test_a_reader_goes_on_where_the_one_before_it_committed(broker: BrokerProcess, topic: str) -> None:
    Confluent().create_topic(broker.bootstrap, topic, 1, {})
    records = [NewRecord(None, b"%d" % number) for number in range(RECORDS)]
    Confluent().send(broker.bootstrap, topic, records)
    values = [record.value for record in records]
    first = consumer(broker.bootstrap, topic)
    first.subscribe([topic])
    assert read(first, 10) == values[:10]
    first.commit(asynchronous=False)
    first.close()
    second = consumer(broker.bootstrap, topic)
    second.subscribe([f"^{topic[:-1]}.*"])
    assert read(second, RECORDS - 10) == values[10:]
    second.close()
