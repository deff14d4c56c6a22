"""The clients' transactions, all with the same few words."""

from __future__ import annotations

import asyncio
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

import aiokafka
import aiokafka.errors
import confluent_kafka

import minikafka_client
from minikafka_client import GroupMetadata

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its schemas with importlib.resources.read_text
    import kafka
    import kafka.errors
    import kafka.structs

_TIMEOUT_S = 30


class Fenced(Exception):
    """Another producer has the transactional id."""


class Transactor(ABC):
    """A producer with a transactional id, which begins by fencing whoever had that before."""

    name: ClassVar[str]

    def __init__(self, bootstrap: str, transactional_id: str, timeout_ms: int = 60_000) -> None:
        self.bootstrap = bootstrap
        self.transactional_id = transactional_id
        self.timeout_ms = timeout_ms

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction."""

    @abstractmethod
    def send(self, topic: str, partition: int, value: bytes) -> None:
        """Send a record, and go on."""

    @abstractmethod
    def commit(self) -> None:
        """Commit; raises Fenced."""

    @abstractmethod
    def abort(self) -> None:
        """Abort; raises Fenced."""

    @abstractmethod
    def send_offset(self, topic: str, partition: int, offset: int, group_id: str) -> None:
        """Commit an offset in the transaction, for a group without members."""

    @abstractmethod
    def flush(self) -> None:
        """Wait until everything that was sent is stored."""

    @abstractmethod
    def close(self) -> None:
        """Give the connections back."""


class ConfluentTransactor(Transactor):
    name = "confluent-kafka"

    def __init__(self, bootstrap: str, transactional_id: str, timeout_ms: int = 60_000) -> None:
        super().__init__(bootstrap, transactional_id, timeout_ms)
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": timeout_ms,
                "log_level": 0,
            }
        )
        self._producer.init_transactions(_TIMEOUT_S)

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, topic: str, partition: int, value: bytes) -> None:
        self._producer.produce(topic, value, partition=partition)

    def commit(self) -> None:
        with self._fencing():
            self._producer.commit_transaction(_TIMEOUT_S)

    def abort(self) -> None:
        with self._fencing():
            self._producer.abort_transaction(_TIMEOUT_S)

    def send_offset(self, topic: str, partition: int, offset: int, group_id: str) -> None:
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": group_id})
        try:
            places = [confluent_kafka.TopicPartition(topic, partition, offset)]
            with self._fencing():
                self._producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), _TIMEOUT_S)
        finally:
            consumer.close()

    def flush(self) -> None:
        assert self._producer.flush(_TIMEOUT_S) == 0

    def close(self) -> None:
        with suppress(confluent_kafka.KafkaException):  # that it was fenced, once more
            self._producer.purge()
            self._producer.flush(_TIMEOUT_S)

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        try:
            yield
        except confluent_kafka.KafkaException as error:
            code = error.args[0].code()
            if code in {confluent_kafka.KafkaError._FENCED, confluent_kafka.KafkaError.INVALID_PRODUCER_EPOCH}:
                raise Fenced from error
            raise


class AioTransactor(Transactor):
    name = "aiokafka"

    def __init__(self, bootstrap: str, transactional_id: str, timeout_ms: int = 60_000) -> None:
        super().__init__(bootstrap, transactional_id, timeout_ms)
        self._runner = asyncio.Runner()
        self._deliveries: list[asyncio.Future[object]] = []

        async def start() -> aiokafka.AIOKafkaProducer:
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=bootstrap, transactional_id=transactional_id, transaction_timeout_ms=timeout_ms
            )
            await producer.start()
            return producer

        self._producer = self._runner.run(start())

    def begin(self) -> None:
        with self._fencing():
            self._runner.run(self._producer.begin_transaction())

    def send(self, topic: str, partition: int, value: bytes) -> None:
        self._deliveries.append(self._runner.run(self._producer.send(topic, value, partition=partition)))

    def commit(self) -> None:
        with self._fencing():
            self._runner.run(self._producer.commit_transaction())

    def abort(self) -> None:
        with self._fencing():
            self._runner.run(self._producer.abort_transaction())

    def send_offset(self, topic: str, partition: int, offset: int, group_id: str) -> None:
        offsets = {aiokafka.TopicPartition(topic, partition): offset}
        with self._fencing():
            self._runner.run(self._producer.send_offsets_to_transaction(offsets, group_id))

    def flush(self) -> None:
        self._runner.run(self._producer.flush())

    def close(self) -> None:
        async def stop() -> None:
            await self._producer.stop()
            await asyncio.gather(*self._deliveries, return_exceptions=True)

        with self._runner:
            self._runner.run(stop())

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        try:
            yield
        except aiokafka.errors.ProducerFenced as error:
            raise Fenced from error


class KafkaPythonTransactor(Transactor):
    name = "kafka-python"

    def __init__(self, bootstrap: str, transactional_id: str, timeout_ms: int = 60_000) -> None:
        super().__init__(bootstrap, transactional_id, timeout_ms)
        self._producer = kafka.KafkaProducer(
            bootstrap_servers=bootstrap, transactional_id=transactional_id, transaction_timeout_ms=timeout_ms
        )
        self._producer.init_transactions()

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, topic: str, partition: int, value: bytes) -> None:
        self._producer.send(topic, value, partition=partition)

    def commit(self) -> None:
        with self._fencing():
            self._producer.commit_transaction()

    def abort(self) -> None:
        with self._fencing():
            self._producer.abort_transaction()

    def send_offset(self, topic: str, partition: int, offset: int, group_id: str) -> None:
        committed = kafka.structs.OffsetAndMetadata(offset, "", -1)
        with self._fencing():
            self._producer.send_offsets_to_transaction({kafka.TopicPartition(topic, partition): committed}, group_id)

    def flush(self) -> None:
        self._producer.flush(_TIMEOUT_S)

    def close(self) -> None:
        self._producer.close(timeout=_TIMEOUT_S)

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        try:
            yield
        except (kafka.errors.ProducerFencedError, kafka.errors.InvalidProducerEpochError) as error:
            raise Fenced from error


class _Undo(Exception):
    """Ends a transaction of the SDK's."""


class SdkTransactor(Transactor):
    name = "minikafka"

    def __init__(self, bootstrap: str, transactional_id: str, timeout_ms: int = 60_000) -> None:
        super().__init__(bootstrap, transactional_id, timeout_ms)
        self._producer = minikafka_client.Producer(
            bootstrap, transactional_id=transactional_id, transaction_timeout_ms=timeout_ms
        )
        self._producer.__enter__()

    def begin(self) -> None:
        with self._fencing():
            self._transaction = self._producer.transaction()
            self._transaction.__enter__()

    def send(self, topic: str, partition: int, value: bytes) -> None:
        self._producer.send(topic, value, partition=partition)

    def commit(self) -> None:
        with self._fencing():
            self._transaction.__exit__(None, None, None)

    def abort(self) -> None:
        undo = _Undo()
        with self._fencing():
            self._transaction.__exit__(_Undo, undo, None)

    def send_offset(self, topic: str, partition: int, offset: int, group_id: str) -> None:
        offsets = {minikafka_client.TopicPartition(topic, partition): offset}
        with self._fencing():
            self._producer.send_offsets_to_transaction(offsets, GroupMetadata(group_id))

    def flush(self) -> None:
        self._producer.flush()

    def close(self) -> None:
        self._producer.close()

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        try:
            yield
        except minikafka_client.ProducerFenced as error:
            raise Fenced from error


TRANSACTORS: tuple[type[Transactor], ...] = (
    ConfluentTransactor,
    AioTransactor,
    KafkaPythonTransactor,
    SdkTransactor,
)


@contextmanager
def transacting(
    kind: type[Transactor], bootstrap: str, transactional_id: str, timeout_ms: int = 60_000
) -> Iterator[Transactor]:
    """A producer of that kind, until the end of the block."""
    transactor = kind(bootstrap, transactional_id, timeout_ms)
    try:
        yield transactor
    finally:
        transactor.close()


# Who reads what is committed: from the beginning of a partition to a record that stands for its end.


def read_with_confluent(bootstrap: str, topic: str, last: bytes, isolation: str) -> list[bytes]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "none", "isolation.level": isolation, "log_level": 0}
    )
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
        values: list[bytes] = []
        while last not in values:
            values += [value for m in consumer.consume(1_000, 0.05) if (value := m.value()) is not None]
        return values
    finally:
        consumer.close()


def read_with_aiokafka(bootstrap: str, topic: str, last: bytes, isolation: str) -> list[bytes]:
    async def read() -> list[bytes]:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation)
        await consumer.start()
        try:
            where = aiokafka.TopicPartition(topic, 0)
            consumer.assign([where])
            await consumer.seek_to_beginning(where)
            values: list[bytes] = []
            while last not in values:
                values.append((await consumer.getone()).value)
            return values
        finally:
            await consumer.stop()

    return asyncio.run(read())


def read_with_kafka_python(bootstrap: str, topic: str, last: bytes, isolation: str) -> list[bytes]:
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, group_id=None)
    try:
        where = kafka.TopicPartition(topic, 0)
        consumer.assign([where])
        consumer.seek_to_beginning(where)
        values: list[bytes] = []
        while last not in values:
            values += [message.value for message in consumer.poll(1_000).get(where, ())]
        return values
    finally:
        consumer.close()


def read_with_sdk(bootstrap: str, topic: str, last: bytes, isolation: str) -> list[bytes]:
    level = "read_committed" if isolation == "read_committed" else "read_uncommitted"
    options = {"auto_offset_reset": "earliest", "isolation_level": level}
    with minikafka_client.Consumer(bootstrap, topics=[topic], **options) as consumer:  # type: ignore[arg-type]
        values: list[bytes] = []
        while last not in values:
            values += [message.value for message in consumer.poll(1_000)]
        return values


READERS = {
    "confluent-kafka": read_with_confluent,
    "aiokafka": read_with_aiokafka,
    "kafka-python": read_with_kafka_python,
    "minikafka": read_with_sdk,
}
