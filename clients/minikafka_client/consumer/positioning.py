"""Where a consumer reads: what is the same for one that shares its topics with a group and one that does not."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import inf

from minikafka.types import TimestampAndOffset, TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.consumer.fetcher import Fetcher
from minikafka_client.consumer.offsets import look_up_offsets
from minikafka_client.consumer.positions import Assignment, Start
from minikafka_client.consumer.reader import Reader
from minikafka_client.errors import ClientClosed


class Positioning(ABC):
    """The assigned partitions, the positions in them, and offsets to go to."""

    _cluster: Cluster
    _assignment: Assignment
    _reader: Reader
    _fetcher: Fetcher | None
    _request_timeout_ms: int
    _is_closed: bool

    @abstractmethod
    async def start(self) -> None:
        """Find the cluster.

        Raises:
            NoBrokersAvailable: No broker answered.
            ClientClosed: The consumer was closed.
        """

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
        self._sought([partition])

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
        self._sought(found)

    async def position(self, partition: TopicPartition) -> int:
        """The offset of the next message that will be returned, looked up if there is none yet.

        Raises:
            ValueError: The partition is not assigned.
            KafkaError: The position cannot be looked up.
        """
        await self._want()
        while not (state := self._assignment[partition]).has_position:
            self._reader.raise_error(state)
            await self._wait(inf)
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

    # Inside

    async def _want(self) -> None:
        """The program asks for something.  A program that never has to wait for it must not starve the heartbeats."""
        await asyncio.sleep(0)
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

    def _restart(self, partitions: tuple[TopicPartition, ...], start: Start) -> None:
        chosen = [self._assignment[partition] for partition in partitions or self.assignment]
        for state in chosen:
            state.restart(start)
        if self._fetcher is not None:
            self._fetcher.want()
        self._sought(state.topic_partition for state in chosen)

    def _sought(self, partitions: Iterable[TopicPartition]) -> None:
        self._reader.sought(partitions)
        self._wake()

    async def _special_offsets(self, partitions: Iterable[TopicPartition], start: Start) -> dict[TopicPartition, int]:
        await self.start()
        found = await look_up_offsets(self._cluster, dict.fromkeys(partitions, start.value), self._request_timeout_ms)
        return {partition: there.offset for partition, there in found.items()}
