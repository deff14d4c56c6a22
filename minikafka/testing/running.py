"""A broker in this process, with what tests do with it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from minikafka.cli.scratch import scratch_directory
from minikafka.net.server import Address
from minikafka.testing.expectation import Deserializer, Expectation
from minikafka.testing.reading import lag_of, read_topic
from minikafka.testing.thread import BrokerThread
from minikafka_client import Admin, Message, NewTopic, Producer, RecordMetadata

_GIVEN_OTHERWISE = {"listeners": "port", "log.dirs": "data_dir"}


@contextmanager
def running_broker(
    data_dir: Path | None = None, *, port: int = 0, config: Mapping[str, str] | None = None
) -> Iterator[RunningBroker]:
    """A broker in a thread of this process, which serves until the context ends.

    Args:
        data_dir: Where its data are, and stay; without, a directory in memory that is removed at the end.
        port: Where it serves, on 127.0.0.1; 0 takes a port that is free.
        config: Settings by Kafka's keys, ``{"num.partitions": "4"}``.  Unless they are here, nothing is flushed for
            acks=all, and no record grows too old: a test may give its records any time.

    Raises:
        ConfigError: A setting is unknown, or its value malformed.
        StorageError: The data directory cannot be used, or another broker uses it.
        OSError: The port is taken.
    """
    for key in _GIVEN_OTHERWISE.keys() & (config or {}).keys():
        raise ValueError(f"{key} is given by the argument {_GIVEN_OTHERWISE[key]}")
    with ExitStack() as stack:
        directory = data_dir if data_dir is not None else stack.enter_context(scratch_directory())
        thread = BrokerThread(directory, config or {})
        address = thread.start(port)
        stack.callback(thread.stop)
        yield RunningBroker(thread, address, directory)


class RunningBroker:
    """A broker, and short ways to what a test needs of it.

    They may be called from any thread, also while the code under test works; what has to wait for the broker holds the
    caller up for some milliseconds, the event loop of an asynchronous test too.
    """

    def __init__(self, thread: BrokerThread, address: Address, data_dir: Path) -> None:
        self._thread = thread
        self._address = address
        self.data_dir = data_dir

    @property
    def bootstrap_servers(self) -> str:
        """Where it serves, ``HOST:PORT``, the same for its whole life."""
        return str(self._address)

    def topic(self, name: str | None = None, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Make a topic and return its name.

        Args:
            name: Without, a name that no other topic has.
            partitions: How many partitions it has.
            config: Its settings by Kafka's keys, ``{"cleanup.policy": "compact"}``.

        Raises:
            TopicAlreadyExists, InvalidTopic, InvalidConfig, ...: As the broker says.
        """
        name = name if name is not None else f"topic-{secrets.token_hex(4)}"
        with Admin(self.bootstrap_servers) as admin:
            admin.create_topics([NewTopic(name, partitions, configs=config or {})])
        return name

    def produce(
        self, topic: str, *values: object, key: object = None, partition: int | None = None
    ) -> list[RecordMetadata]:
        """Send values to a topic, all with the same key; where they stand, once they are stored.

        bytes go as they are, text as UTF-8, None as a tombstone, and other objects as msgpack.  Without a key or a
        partition they go round the partitions.  A topic that is not there is made.
        """
        with Producer(self.bootstrap_servers) as producer:
            sent = [producer.send(topic, value, key, partition=partition) for value in values]
            producer.flush()  # nothing is left to be waited for one by one, which a coroutine may not
            return [delivery.result() for delivery in sent]

    def records(self, topic: str) -> list[Message]:
        """The messages that are in a topic now.

        Those of one partition are in its order, those of different partitions in the order of their timestamps.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        return read_topic(self.bootstrap_servers, topic)

    def lag(self, group_id: str, topic: str) -> int:
        """How many messages of a topic a group has not acknowledged yet: all there are, where it never committed.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        return lag_of(self.bootstrap_servers, group_id, topic)

    def assert_produces(
        self, topic: str, *values: object, deserialize: Deserializer | None = None, timeout_ms: float = 5_000
    ) -> Expectation:
        """A context in which the topic has to receive exactly these messages.

        ::

            with minikafka.assert_produces("orders", b"tea", b"cake"):
                program_under_test()

        ``async with`` does the same and lets the event loop go on; what is sent and not awaited needs that.  The order
        counts within each partition, as Kafka keeps it there only.  Without values nothing may come.

        Args:
            topic: The topic; it may be made inside the context.
            values: The values of the messages: bytes, None, text for its UTF-8; with ``deserialize``, what it returns.
            deserialize: Makes an object of the bytes of a value, ``json.loads`` for instance.
            timeout_ms: How long after the last line of the context the messages may still take.

        Raises:
            AssertionError: Other messages came; the text shows the difference.
        """
        return Expectation(self.bootstrap_servers, topic, values, deserialize, timeout_ms)

    def restart(self) -> None:
        """Stop it and start it again, on the same port and data: clients go on as after any restart of a broker."""
        self._thread.stop()
        self._thread.start(self._address.port)
