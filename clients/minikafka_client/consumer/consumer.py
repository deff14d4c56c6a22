"""The consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from math import inf
from types import TracebackType
from typing import Self

from minikafka.errors import KafkaError
from minikafka.types import TimestampAndOffset, TopicPartition
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.consumer.decode import Decoder
from minikafka_client.consumer.fetcher import Fetcher, FetchOptions
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.offsets import look_up_offsets
from minikafka_client.consumer.options import (
    AutoOffsetReset,
    IsolationLevelName,
    isolation_level_value,
    start_value,
)
from minikafka_client.consumer.positions import Assignment, PartitionState, Start
from minikafka_client.errors import ClientClosed
from minikafka_client.serializers import Deserializer


class AsyncConsumer:
    """Reads the messages of partitions it is told to read, from any offset.

    >>> async def first_ten(bootstrap_servers: str) -> list[bytes | None]:
    ...     consumer = AsyncConsumer(bootstrap_servers, topics=["orders"], auto_offset_reset="earliest")
    ...     async with consumer:
    ...         messages = await consumer.poll(timeout_ms=1_000, max_records=10)
    ...         return [message.value for message in messages]

    ``async for message in consumer`` goes on for ever.  Polling and iterating may be mixed: the next message is always
    the one at the position.

    Args:
        bootstrap_servers: ``HOST:PORT`` of a broker, or several with commas between them.
        topics: Topics to read whole: all partitions, also those that are added later.  Without, use :meth:`assign`.
        client_id: How the brokers' logs name this client.
        auto_offset_reset: Where to begin in a partition that nobody has sought, and where to go on when its position
            is no longer (or not yet) there: "earliest", "latest", or "none" for an error.
        fetch_min_bytes: A broker answers a fetch when it has so much ...
        fetch_max_wait_ms: ... or when this has passed.
        fetch_max_bytes: The most that one answer should hold; a single larger batch is read all the same.
        max_partition_fetch_bytes: The same for each partition in it.
        max_poll_records: The most messages that :meth:`poll` returns, unless it is told otherwise.
        check_crcs: Verify the checksum of every batch.
        request_timeout_ms: How long to wait for the answer to one request.
        retry_backoff_ms: The first pause after a failure; pauses double up to ``retry_backoff_max_ms``.
        retry_backoff_max_ms: The longest pause after a failure.
        metadata_max_age_ms: How old the metadata may grow before it is asked for again.
        allow_auto_create_topics: Let the broker create a topic that does not exist, if it is configured to.
        isolation_level: "read_committed" leaves out the messages of transactions that were aborted, and waits for
            those that are not decided yet.
        key_deserializer: Makes :attr:`Message.key` of a key's bytes (None: no key); without, keys stay bytes.
        value_deserializer: The same for values.  When a deserializer fails, polling raises DeserializationError until
            somebody seeks past the message: none is skipped silently.
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        topics: Iterable[str] = (),
        client_id: str = "minikafka-consumer",
        auto_offset_reset: AutoOffsetReset = "latest",
        fetch_min_bytes: int = 1,
        fetch_max_wait_ms: int = 500,
        fetch_max_bytes: int = 50 * 1024 * 1024,
        max_partition_fetch_bytes: int = 1024 * 1024,
        max_poll_records: int = 500,
        check_crcs: bool = True,
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 50,
        retry_backoff_max_ms: int = 1_000,
        metadata_max_age_ms: int = 300_000,
        allow_auto_create_topics: bool = True,
        isolation_level: IsolationLevelName = "read_uncommitted",
        key_deserializer: Deserializer | None = None,
        value_deserializer: Deserializer | None = None,
    ) -> None:
        if isinstance(topics, str):
            raise TypeError("topics is a list of names, not one name")
        self._cluster = Cluster(
            bootstrap_servers,
            ClusterOptions(
                client_id,
                request_timeout_ms=request_timeout_ms,
                metadata_max_age_ms=metadata_max_age_ms,
                allow_auto_create_topics=allow_auto_create_topics,
                backoff=Backoff(retry_backoff_ms, retry_backoff_max_ms),
            ),
        )
        self._fetch_options = FetchOptions(
            fetch_min_bytes,
            fetch_max_wait_ms,
            fetch_max_bytes,
            max_partition_fetch_bytes,
            start_value(auto_offset_reset),
            isolation_level_value(isolation_level),
        )
        self._topics = tuple(topics)
        self._max_poll_records = max_poll_records
        self._decoder = Decoder(check_crcs, key_deserializer, value_deserializer)
        self._request_timeout_ms = request_timeout_ms
        self._assignment = Assignment()
        self._serving: PartitionState | None = None
        self._fetcher: Fetcher | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Find the cluster, and the partitions of ``topics``.  Anything that needs a broker does it if need be.

        Raises:
            NoBrokersAvailable: No broker answered.
            KafkaError: A topic does not exist or may not be read.
            ClientClosed: The consumer was closed.
        """
        if self._is_closed:
            raise ClientClosed("the consumer was closed")
        if self._fetcher is not None:
            return
        self._cluster.track(self._topics)
        await self._cluster.start()
        for topic in self._topics:
            await self._cluster.topic(topic, self._request_timeout_ms)
        if self._fetcher is None:
            self._fetcher = Fetcher(self._cluster, self._assignment, self._fetch_options)
            self._cluster.on_update(self._assign_new_partitions)
            self._assign_topics(self._fetch_options.start)
            if self._topics:
                self._fetcher.want()

    async def close(self) -> None:
        """Stop reading; closing again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._fetcher is not None:
            self._fetcher.tell()
            await self._fetcher.close()
        await self._cluster.close()

    # What to read

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions; those that were read already go on where they are.

        Where to begin in the others is looked up by the next poll, unless they are sought before.
        """
        wanted = list(partitions)
        self._cluster.track(partition.topic for partition in wanted)
        self._assignment.replace(wanted, self._fetch_options.start)
        self._serving = None
        if self._fetcher is not None:
            self._fetcher.assigned()
            missing = {partition.topic for partition in wanted} - self._cluster.metadata.topics.keys()
            if missing:
                self._cluster.refresh_soon()

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that are read."""
        return self._assignment.partitions

    def pause(self, *partitions: TopicPartition) -> None:
        """Return no messages of these partitions until :meth:`resume`; their positions stay.

        Raises:
            ValueError: One of them is not assigned.
        """
        for partition in partitions:
            self._assignment[partition].is_paused = True

    def resume(self, *partitions: TopicPartition) -> None:
        """Go on with partitions that were paused.

        Raises:
            ValueError: One of them is not assigned.
        """
        for partition in partitions:
            self._assignment[partition].is_paused = False
        self._wake()

    @property
    def paused(self) -> frozenset[TopicPartition]:
        """The partitions that are paused."""
        return frozenset(state.topic_partition for state in self._assignment if state.is_paused)

    # Where to read

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on at ``offset``; whether it exists shows when it is read.

        Raises:
            ValueError: The partition is not assigned, or the offset is negative.
        """
        if offset < 0:
            raise ValueError(f"an offset is at least 0, not {offset}")
        self._assignment[partition].seek(offset)
        self._wake()

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go on at the first message that is still there, in these partitions or, without any, in all.

        Raises:
            ValueError: One of them is not assigned.
        """
        self._restart(partitions, Start.EARLIEST)

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go on after the last message, in these partitions or, without any, in all.

        Raises:
            ValueError: One of them is not assigned.
        """
        self._restart(partitions, Start.LATEST)

    async def seek_to_time(self, timestamp_ms: int, *partitions: TopicPartition) -> None:
        """Go on at the first message of that time or later, or at the end; without any partition, in all.

        Raises:
            ValueError: One of them is not assigned.
            KafkaError: The offset cannot be looked up.
        """
        chosen = [self._assignment[partition] for partition in partitions or self.assignment]
        found = await self.offsets_for_times({state.topic_partition: timestamp_ms for state in chosen})
        for state in chosen:
            there = found[state.topic_partition]
            if there is None:
                state.restart(Start.LATEST)
            else:
                state.seek(there.offset)
        self._wake()

    async def position(self, partition: TopicPartition) -> int:
        """The offset of the next message that will be returned, looked up if there is none yet.

        Raises:
            ValueError: The partition is not assigned.
            KafkaError: The position cannot be looked up.
        """
        state = self._assignment[partition]
        await self._want()
        while not state.has_position:
            await self._wait(inf)
            self._raise_error(state)
        return state.position

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset that is still there, in each of these partitions.

        Raises:
            KafkaError: A partition does not exist, or its leader does not answer in time.
        """
        return await self._special_offsets(partitions, Start.EARLIEST)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset that the next message to be read will get, in each of these partitions.

        Raises:
            KafkaError: A partition does not exist, or its leader does not answer in time.
        """
        return await self._special_offsets(partitions, Start.LATEST)

    async def offsets_for_times(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, TimestampAndOffset | None]:
        """The first message of the given time or later, in each partition; None where all are older.

        Raises:
            ValueError: A time is negative.
            KafkaError: A partition does not exist, or its leader does not answer in time.
        """
        if any(timestamp_ms < 0 for timestamp_ms in timestamps_ms.values()):
            raise ValueError("times are milliseconds since 1970, at least 0")
        await self.start()
        found = await look_up_offsets(self._cluster, timestamps_ms, self._request_timeout_ms)
        return {partition: there if there.offset >= 0 else None for partition, there in found.items()}

    async def partitions_for_topic(self, topic: str) -> list[TopicPartition]:
        """All partitions of a topic.

        Raises:
            KafkaError: The topic does not exist or may not be read.
        """
        await self.start()
        info = await self._cluster.topic(topic, self._request_timeout_ms)
        return [TopicPartition(topic, partition.partition) for partition in info.partitions]

    def lag(self, partition: TopicPartition) -> int | None:
        """How many messages are there to be read, as of the last fetch; None before the first.

        Raises:
            ValueError: The partition is not assigned.
        """
        return self._assignment[partition].lag

    # Reading

    async def poll(self, timeout_ms: float | None = 1_000, max_records: int | None = None) -> list[Message]:
        """The next messages, as soon as there are any.

        Args:
            timeout_ms: How long to wait for the first; None waits for ever.  Then the list is empty.
            max_records: The most messages to return instead of ``max_poll_records``.

        Raises:
            OffsetOutOfRange: The position is not there, and ``auto_offset_reset`` is "none".
            NoOffsetForPartition: There is no position, and ``auto_offset_reset`` is "none".
            DeserializationError: A deserializer fails at the message at the position; :meth:`seek` past it to go on.
            CorruptMessage: What is stored at the position is damaged; :meth:`seek` past it to go on.
            KafkaError: A partition cannot be read.
            NoBrokersAvailable: No broker answered, at the first poll.
            ClientClosed: The consumer was closed.
        """
        await self._want()
        loop = asyncio.get_running_loop()
        deadline = inf if timeout_ms is None else loop.time() + timeout_ms / 1_000
        while True:
            messages = self._take(max_records or self._max_poll_records)
            remaining_s = deadline - loop.time()
            if messages or remaining_s <= 0:
                return messages
            await self._wait(remaining_s)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = self.next_decoded()
        while message is None:
            message = self._serve_next()
            if message is None:
                try:
                    await self._want()
                    await self._wait(inf)
                except ClientClosed:
                    raise StopAsyncIteration from None
        return message

    def next_decoded(self) -> Message | None:
        """The next message if it is decoded already, else None; callable from another thread than the loop's."""
        serving = self._serving
        return None if serving is None or serving.is_paused else serving.next_message()

    def _serve_next(self) -> Message | None:
        for state in list(self._assignment):
            if state.is_paused:
                continue
            self._raise_error(state)
            if self._decoder.decode_ahead(state):
                self._serving = state
                self._assignment.rotate(state.topic_partition)
                self._wake()
                return state.next_message()
        return None

    def _take(self, max_records: int) -> list[Message]:
        messages: list[Message] = []
        for state in list(self._assignment):
            if state.is_paused:
                continue
            try:
                self._raise_error(state)
                while len(messages) < max_records and self._decoder.decode_ahead(state):
                    messages += state.take(max_records - len(messages))
            except KafkaError:
                if not messages:
                    raise
                break  # first the messages; the next poll meets the error again
            if len(messages) >= max_records:
                self._assignment.rotate(state.topic_partition)
                break
        if messages:
            self._wake()
        return messages

    def _raise_error(self, state: PartitionState) -> None:
        """Raise what befell a partition, once: the fetcher tries again meanwhile."""
        if state.error is not None:
            error, state.error = state.error, None
            self._wake()
            raise error

    async def _want(self) -> None:
        await self.start()
        if self._fetcher is not None:
            self._fetcher.want()

    async def _wait(self, timeout_s: float) -> None:
        if self._fetcher is None or self._is_closed:
            raise ClientClosed("the consumer was closed")
        await self._fetcher.wait_for_news(timeout_s)
        if self._is_closed:
            raise ClientClosed("the consumer was closed")

    def _wake(self) -> None:
        if self._fetcher is not None:
            self._fetcher.wake()

    # Assignment and positions

    def _assign_topics(self, start: Start | None) -> None:
        for topic in self._topics:
            info = self._cluster.metadata.topics.get(topic)
            for partition in info.partitions if info is not None else ():
                self._assignment.add(TopicPartition(topic, partition.partition), start)
        self._wake()

    def _assign_new_partitions(self) -> None:
        """Partitions that were added to a topic are read from their beginning: they began after this consumer did."""
        self._assign_topics(Start.EARLIEST)

    def _restart(self, partitions: tuple[TopicPartition, ...], start: Start) -> None:
        for state in [self._assignment[partition] for partition in partitions or self.assignment]:
            state.restart(start)
        if self._fetcher is not None:
            self._fetcher.want()
        self._wake()

    async def _special_offsets(self, partitions: Iterable[TopicPartition], start: Start) -> dict[TopicPartition, int]:
        await self.start()
        found = await look_up_offsets(self._cluster, dict.fromkeys(partitions, start.value), self._request_timeout_ms)
        return {partition: there.offset for partition, there in found.items()}
