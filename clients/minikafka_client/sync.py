"""The plain faces: the same producer, consumer and admin for programs without an event loop.

All of them share one background thread that runs one loop.  They may be used from any number of threads, a consumer
from one at a time.
"""

from __future__ import annotations

import atexit
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypedDict, Unpack
from weakref import WeakSet

from minikafka.types import ProducerIdAndEpoch, TimestampAndOffset, TopicPartition
from minikafka_client.admin.admin import AsyncAdmin
from minikafka_client.admin.types import (
    AlterConfig,
    ClusterDescription,
    ConfigEntry,
    ConfigResource,
    CreatedTopic,
    GroupDescription,
    GroupListing,
    GroupState,
    GroupType,
    LogDirDescription,
    NewTopic,
    OffsetSpec,
    ProducerState,
    TransactionDescription,
    TransactionListing,
    TransactionState,
)
from minikafka_client.background import CallersThread, background, call_in_forked_processes
from minikafka_client.consumer.consumer import AsyncConsumer
from minikafka_client.consumer.group.listener import RebalanceListener
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.options import ConsumerOptions
from minikafka_client.metadata import TopicInfo
from minikafka_client.offsets import Commits, GroupMetadata, OffsetAndMetadata
from minikafka_client.producer.batch import NotDelivered
from minikafka_client.producer.delivery import Delivery, DeliveryCallback, RecordMetadata
from minikafka_client.producer.intake import GivenHeaders as Headers
from minikafka_client.producer.options import ProducerOptions
from minikafka_client.producer.producer import AsyncProducer

_log = logging.getLogger(__name__)

# How long a program that ends without closing its producers is held up to deliver what they still have.
_EXIT_FLUSH_TIMEOUT_MS = 10_000


class Producer:
    """:class:`AsyncProducer` for programs without an event loop, with the same options.

    >>> def brew(bootstrap_servers: str) -> int:
    ...     with Producer(bootstrap_servers) as producer:
    ...         delivery = producer.send("orders", "one coffee", key="table 7")   # on its way
    ...         return delivery.result().offset                                   # stored

    A program that ends without closing it is held up for 10 s at most, to deliver what was sent.
    """

    def __init__(self, bootstrap_servers: str = "localhost:9092", **options: Unpack[ProducerOptions]) -> None:
        self._producer = AsyncProducer(bootstrap_servers, **options)
        self._try_send = self._producer.try_send
        self._background = background()
        _open_producers.add(self)

    def __enter__(self) -> Self:
        try:
            self._background.run(self._producer.start())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _open_producers.discard(self)
        self._background.run(self._producer.__aexit__(kind, error, traceback))

    def send(  # noqa: PLR0917 - as AsyncProducer.send
        self,
        topic: str,
        value: object,
        key: object = None,
        partition: int | None = None,
        headers: Headers | None = None,
        timestamp_ms: int | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery:
        """Put a record on its way; ``result()`` of what is returned waits until it is stored, and says where.

        Arguments and errors are those of :meth:`AsyncProducer.send`.
        """
        delivery = self._try_send(topic, value, key, partition, headers, timestamp_ms, on_delivery)
        if delivery is None:
            delivery = self._background.run(
                self._producer.send(topic, value, key, partition, headers, timestamp_ms, on_delivery)
            )
        return delivery

    def send_and_wait(  # noqa: PLR0917 - as AsyncProducer.send
        self,
        topic: str,
        value: object,
        key: object = None,
        partition: int | None = None,
        headers: Headers | None = None,
        timestamp_ms: int | None = None,
    ) -> RecordMetadata:
        """Send a record and wait until it is stored; arguments and errors as in :meth:`send`."""
        return self.send(topic, value, key, partition, headers, timestamp_ms).result()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction: what is sent within the ``with`` block counts altogether or not at all.

        >>> def transfer(bootstrap_servers: str) -> None:
        ...     with Producer(bootstrap_servers, transactional_id="transfers") as producer:
        ...         with producer.transaction():
        ...             producer.send("withdrawals", "10 from Alice")
        ...             producer.send("deposits", "10 to Bob")

        Errors are those of :meth:`AsyncProducer.transaction`.
        """
        transaction = self._producer.transaction()
        self._background.run(transaction.__aenter__())
        try:
            yield
        except BaseException as error:
            self._background.run(transaction.__aexit__(type(error), error, error.__traceback__))
            raise
        self._background.run(transaction.__aexit__(None, None, None))

    def send_offsets_to_transaction(self, offsets: Commits, group_metadata: GroupMetadata) -> None:
        """See :meth:`AsyncProducer.send_offsets_to_transaction`."""
        self._background.run(self._producer.send_offsets_to_transaction(offsets, group_metadata))

    def flush(self) -> None:
        """See :meth:`AsyncProducer.flush`."""
        self._background.run(self._producer.flush())

    def close(self, timeout_ms: int | None = None) -> None:
        """See :meth:`AsyncProducer.close`."""
        _open_producers.discard(self)
        self._background.run(self._producer.close(timeout_ms))

    def partitions_for(self, topic: str) -> int:
        """See :meth:`AsyncProducer.partitions_for`."""
        return self._background.run(self._producer.partitions_for(topic))


class Consumer:
    """:class:`AsyncConsumer` for programs without an event loop, with the same options.

    >>> def first_order(bootstrap_servers: str) -> bytes | None:
    ...     with Consumer(bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
    ...         for message in consumer:            # goes on for ever, if it is let
    ...             return message.value

    Heartbeats go on in the background thread.  Rebalance callbacks are called by the thread that polls, iterates or
    closes, while it does, so that they may use the consumer (but not poll) and whatever else that thread uses.

    A program that ends without closing it leaves its group all the same, having committed as if by an exception.
    """

    def __init__(self, bootstrap_servers: str = "localhost:9092", **options: Unpack[ConsumerOptions]) -> None:
        self._consumer = AsyncConsumer(bootstrap_servers, **options)
        self._background = background()
        self._calls = CallersThread()
        self._consumer.call_listener = self._calls.call
        self._next_decoded = self._consumer.next_decoded
        _open_consumers.add(self)

    def __enter__(self) -> Self:
        self._background.run(self._consumer.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _open_consumers.discard(self)
        self._calls.run(self._consumer.__aexit__(kind, error, traceback))

    def __iter__(self) -> Iterator[Message]:
        next_decoded = self._next_decoded
        while True:
            message = next_decoded() or self._calls.run(self._next())
            if message is None:
                return
            yield message

    def __next__(self) -> Message:
        message = self._next_decoded()
        if message is None:
            message = self._calls.run(self._next())
            if message is None:
                raise StopIteration
        return message

    async def _next(self) -> Message | None:
        return await anext(self._consumer, None)

    def close(self) -> None:
        """See :meth:`AsyncConsumer.close`."""
        _open_consumers.discard(self)
        self._calls.run(self._consumer.close())

    def poll(self, timeout_ms: float | None = 1_000, max_records: int | None = None) -> list[Message]:
        """See :meth:`AsyncConsumer.poll`."""
        return self._calls.run(self._consumer.poll(timeout_ms, max_records))

    def subscribe(self, topics: Iterable[str] | re.Pattern[str], listener: RebalanceListener | None = None) -> None:
        """See :meth:`AsyncConsumer.subscribe`."""
        self._background.call(lambda: self._consumer.subscribe(topics, listener))

    def unsubscribe(self) -> None:
        """See :meth:`AsyncConsumer.unsubscribe`."""
        self._calls.run(self._consumer.unsubscribe())

    @property
    def subscription(self) -> frozenset[str]:
        """See :attr:`AsyncConsumer.subscription`."""
        return self._background.call(lambda: self._consumer.subscription)

    def commit(self, offsets: Commits | None = None) -> None:
        """See :meth:`AsyncConsumer.commit`."""
        self._background.run(self._consumer.commit(offsets))

    def commit_async(self, offsets: Commits | None = None) -> Future[None]:
        """As :meth:`commit`, without waiting: ``result()`` of what is returned does; failures are logged too."""

        async def commit() -> None:
            await self._consumer.commit_async(offsets)

        return self._background.begin(commit())

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """See :meth:`AsyncConsumer.committed`."""
        return self._background.run(self._consumer.committed(partitions))

    @property
    def group_metadata(self) -> GroupMetadata:
        """See :attr:`AsyncConsumer.group_metadata`."""
        return self._background.call(lambda: self._consumer.group_metadata)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """See :meth:`AsyncConsumer.assign`."""
        self._background.call(lambda: self._consumer.assign(partitions))

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """See :attr:`AsyncConsumer.assignment`."""
        return self._background.call(lambda: self._consumer.assignment)

    def pause(self, *partitions: TopicPartition) -> None:
        """See :meth:`AsyncConsumer.pause`."""
        self._background.call(lambda: self._consumer.pause(*partitions))

    def resume(self, *partitions: TopicPartition) -> None:
        """See :meth:`AsyncConsumer.resume`."""
        self._background.call(lambda: self._consumer.resume(*partitions))

    @property
    def paused(self) -> frozenset[TopicPartition]:
        """See :attr:`AsyncConsumer.paused`."""
        return self._background.call(lambda: self._consumer.paused)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See :meth:`AsyncConsumer.seek`."""
        self._background.call(lambda: self._consumer.seek(partition, offset))

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """See :meth:`AsyncConsumer.seek_to_beginning`."""
        self._background.call(lambda: self._consumer.seek_to_beginning(*partitions))

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """See :meth:`AsyncConsumer.seek_to_end`."""
        self._background.call(lambda: self._consumer.seek_to_end(*partitions))

    def seek_to_time(self, timestamp_ms: int, *partitions: TopicPartition) -> None:
        """See :meth:`AsyncConsumer.seek_to_time`."""
        self._background.run(self._consumer.seek_to_time(timestamp_ms, *partitions))

    def position(self, partition: TopicPartition) -> int:
        """See :meth:`AsyncConsumer.position`."""
        return self._background.run(self._consumer.position(partition))

    def lag(self, partition: TopicPartition) -> int | None:
        """See :meth:`AsyncConsumer.lag`."""
        return self._background.call(lambda: self._consumer.lag(partition))

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """See :meth:`AsyncConsumer.beginning_offsets`."""
        return self._background.run(self._consumer.beginning_offsets(partitions))

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """See :meth:`AsyncConsumer.end_offsets`."""
        return self._background.run(self._consumer.end_offsets(partitions))

    def offsets_for_times(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, TimestampAndOffset | None]:
        """See :meth:`AsyncConsumer.offsets_for_times`."""
        return self._background.run(self._consumer.offsets_for_times(timestamps_ms))

    def partitions_for_topic(self, topic: str) -> list[TopicPartition]:
        """See :meth:`AsyncConsumer.partitions_for_topic`."""
        return self._background.run(self._consumer.partitions_for_topic(topic))


class AdminOptions(TypedDict, total=False):
    """The options of :class:`AsyncAdmin`, which explains them."""

    client_id: str
    request_timeout_ms: int
    retry_backoff_ms: int


class Admin:
    """:class:`AsyncAdmin` for programs without an event loop, with the same options.

    >>> def prepare(bootstrap_servers: str) -> None:
    ...     with Admin(bootstrap_servers) as admin:
    ...         admin.create_topics([NewTopic("orders", num_partitions=3)])
    """

    def __init__(self, bootstrap_servers: str = "localhost:9092", **options: Unpack[AdminOptions]) -> None:
        self._admin = AsyncAdmin(bootstrap_servers, **options)
        self._background = background()

    def __enter__(self) -> Self:
        self._background.run(self._admin.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """See :meth:`AsyncAdmin.close`."""
        self._background.run(self._admin.close())

    def create_topics(self, topics: Iterable[NewTopic], *, validate_only: bool = False) -> dict[str, CreatedTopic]:
        """See :meth:`AsyncAdmin.create_topics`."""
        return self._background.run(self._admin.create_topics(topics, validate_only=validate_only))

    def delete_topics(self, names: Iterable[str]) -> None:
        """See :meth:`AsyncAdmin.delete_topics`."""
        self._background.run(self._admin.delete_topics(names))

    def create_partitions(self, counts: Mapping[str, int], *, validate_only: bool = False) -> None:
        """See :meth:`AsyncAdmin.create_partitions`."""
        self._background.run(self._admin.create_partitions(counts, validate_only=validate_only))

    def list_topics(self, *, include_internal: bool = False) -> list[TopicInfo]:
        """See :meth:`AsyncAdmin.list_topics`."""
        return self._background.run(self._admin.list_topics(include_internal=include_internal))

    def describe_topics(self, names: Iterable[str]) -> dict[str, TopicInfo]:
        """See :meth:`AsyncAdmin.describe_topics`."""
        return self._background.run(self._admin.describe_topics(names))

    def describe_cluster(self) -> ClusterDescription:
        """See :meth:`AsyncAdmin.describe_cluster`."""
        return self._background.run(self._admin.describe_cluster())

    def describe_configs(
        self, resources: Iterable[ConfigResource], *, keys: Iterable[str] | None = None
    ) -> dict[ConfigResource, dict[str, ConfigEntry]]:
        """See :meth:`AsyncAdmin.describe_configs`."""
        return self._background.run(self._admin.describe_configs(resources, keys=keys))

    def alter_configs(
        self, changes: Mapping[ConfigResource, Iterable[AlterConfig]], *, validate_only: bool = False
    ) -> None:
        """See :meth:`AsyncAdmin.alter_configs`."""
        self._background.run(self._admin.alter_configs(changes, validate_only=validate_only))

    def list_groups(
        self, *, states: Iterable[GroupState | str] = (), types: Iterable[GroupType | str] = ()
    ) -> list[GroupListing]:
        """See :meth:`AsyncAdmin.list_groups`."""
        return self._background.run(self._admin.list_groups(states=states, types=types))

    def describe_groups(self, group_ids: Iterable[str]) -> dict[str, GroupDescription]:
        """See :meth:`AsyncAdmin.describe_groups`."""
        return self._background.run(self._admin.describe_groups(group_ids))

    def delete_groups(self, group_ids: Iterable[str]) -> None:
        """See :meth:`AsyncAdmin.delete_groups`."""
        self._background.run(self._admin.delete_groups(group_ids))

    def remove_group_members(
        self, group_id: str, members: Iterable[str] | None = None, *, reason: str = "removed by an admin"
    ) -> None:
        """See :meth:`AsyncAdmin.remove_group_members`."""
        self._background.run(self._admin.remove_group_members(group_id, members, reason=reason))

    def list_group_offsets(
        self, group_id: str, partitions: Iterable[TopicPartition] | None = None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """See :meth:`AsyncAdmin.list_group_offsets`."""
        return self._background.run(self._admin.list_group_offsets(group_id, partitions))

    def alter_group_offsets(self, group_id: str, offsets: Commits) -> None:
        """See :meth:`AsyncAdmin.alter_group_offsets`."""
        self._background.run(self._admin.alter_group_offsets(group_id, offsets))

    def delete_group_offsets(self, group_id: str, partitions: Iterable[TopicPartition]) -> None:
        """See :meth:`AsyncAdmin.delete_group_offsets`."""
        self._background.run(self._admin.delete_group_offsets(group_id, partitions))

    def list_transactions(
        self,
        *,
        states: Iterable[TransactionState | str] = (),
        producer_ids: Iterable[int] = (),
        running_for_ms: int | None = None,
        transactional_id_pattern: str | None = None,
    ) -> list[TransactionListing]:
        """See :meth:`AsyncAdmin.list_transactions`."""
        return self._background.run(
            self._admin.list_transactions(
                states=states,
                producer_ids=producer_ids,
                running_for_ms=running_for_ms,
                transactional_id_pattern=transactional_id_pattern,
            )
        )

    def describe_transactions(self, transactional_ids: Iterable[str]) -> dict[str, TransactionDescription]:
        """See :meth:`AsyncAdmin.describe_transactions`."""
        return self._background.run(self._admin.describe_transactions(transactional_ids))

    def describe_producers(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, list[ProducerState]]:
        """See :meth:`AsyncAdmin.describe_producers`."""
        return self._background.run(self._admin.describe_producers(partitions))

    def abort_transaction(self, partition: TopicPartition, producer: ProducerState) -> None:
        """See :meth:`AsyncAdmin.abort_transaction`."""
        self._background.run(self._admin.abort_transaction(partition, producer))

    def fence_producers(self, transactional_ids: Iterable[str]) -> dict[str, ProducerIdAndEpoch]:
        """See :meth:`AsyncAdmin.fence_producers`."""
        return self._background.run(self._admin.fence_producers(transactional_ids))

    def list_offsets(
        self, specs: Mapping[TopicPartition, OffsetSpec | int]
    ) -> dict[TopicPartition, TimestampAndOffset]:
        """See :meth:`AsyncAdmin.list_offsets`."""
        return self._background.run(self._admin.list_offsets(specs))

    def delete_records(self, before_offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """See :meth:`AsyncAdmin.delete_records`."""
        return self._background.run(self._admin.delete_records(before_offsets))

    def describe_log_dirs(self, broker_ids: Iterable[int] | None = None) -> dict[int, dict[str, LogDirDescription]]:
        """See :meth:`AsyncAdmin.describe_log_dirs`."""
        return self._background.run(self._admin.describe_log_dirs(broker_ids))


# Those that are not closed.  Producers are kept alive on purpose: what they have is to be delivered in any case.
_open_producers: set[Producer] = set()
_open_consumers: WeakSet[Consumer] = WeakSet()


@atexit.register
def _close_the_rest() -> None:
    for producer in list(_open_producers):
        try:
            producer.close(_EXIT_FLUSH_TIMEOUT_MS)
        except NotDelivered as error:
            _log.error("the program ended before its producer was closed: %s", error)
    for consumer in list(_open_consumers):
        try:
            consumer.__exit__(SystemExit, SystemExit(), None)
        except Exception:  # noqa: BLE001 - the others are to be closed all the same
            _log.exception("the program ended before its consumer was closed, and closing it failed")


def _leave_them_to_the_parent() -> None:
    _open_producers.clear()
    _open_consumers.clear()


call_in_forked_processes(_leave_them_to_the_parent)
