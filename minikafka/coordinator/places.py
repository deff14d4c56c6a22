"""Where the state of a coordinator is: one shard for each partition of its topic that this broker leads.

The state is loaded when it is first asked for, at the latest right after the start; whether the broker still leads the
partition is looked at with every request::

                  ┌── too long to read at once ──► loading ───┐
    (no shard) ───┤                                           ├──► loaded ──► closed: leader elsewhere,
                  └── at once ────────────────────────────────┘               topic gone, or a write failed

Source: Kafka, CoordinatorRuntime.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from minikafka.clock import Clock
from minikafka.coordinator.internal_topic import InternalTopic
from minikafka.errors import CoordinatorLoadInProgress, CoordinatorNotAvailable, KafkaError, NotCoordinator
from minikafka.observability.logging import get_logger
from minikafka.protocol.errors import DecodeError
from minikafka.replication.partition import Partition
from minikafka.replication.partitions import Partitions

AT_ONCE_BYTES = 256 * 1024
"""A log up to this size is read by the request that needs it: that takes less than asking the client to come again."""

RELOAD_AFTER_MS = 1_000
"""How long a partition that could not be loaded is left alone."""

_log = get_logger(__name__)


class Shard(Protocol):
    """The state of one partition."""

    def load(self) -> Iterator[None]:
        """Read the log, with a step for every so many records, for the loop to do something else in between."""
        ...

    def close(self, error: KafkaError) -> None:
        """Stop; whoever waits is told ``error``."""
        ...


S = TypeVar("S", bound=Shard)

OpenShard = Callable[[Partition, Callable[[KafkaError], None]], S]
"""From a partition to its shard, not loaded yet, which calls the other argument when it had to give up its state."""


class _Place(Generic[S]):
    """The state of one partition in one leader epoch, on its way to being loaded or beyond."""

    __slots__ = ("failed_at_ms", "leader_epoch", "loading", "partition", "shard")

    def __init__(self, partition: Partition, shard: S) -> None:
        self.partition = partition
        self.leader_epoch = partition.leader_epoch
        self.shard = shard
        self.loading: Iterator[None] | None = None
        """What is left to be read; None when the shard is loaded."""
        self.failed_at_ms: float | None = None
        """When it turned out that the state cannot be had from the log."""

    def is_of(self, partition: Partition) -> bool:
        """Whether this is the state as of the partition's present leader epoch."""
        return self.partition is partition and self.leader_epoch == partition.leader_epoch


class Places(Generic[S]):
    """The shards of one coordinator.

    Args:
        topic: Where the state is kept.
        partitions: What this broker leads.
        clock: For when to try again.
        open_shard: Makes a shard.
    """

    __slots__ = ("_clock", "_is_closed", "_loading", "_open_shard", "_partitions", "_places", "_topic")

    def __init__(self, topic: InternalTopic, partitions: Partitions, clock: Clock, open_shard: OpenShard[S]) -> None:
        self._topic = topic
        self._partitions = partitions
        self._clock = clock
        self._open_shard = open_shard
        self._places: dict[int, _Place[S]] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def shard_of(self, key: str) -> S:
        """The shard that has a group or transactional id, or would have it.

        Raises:
            NotCoordinator: Another broker coordinates it.
            CoordinatorLoadInProgress: It is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        return self.shard_at(self._topic.partition_of(key))

    def shard_at(self, index: int) -> S:
        """The shard of a partition.

        Raises:
            NotCoordinator, CoordinatorLoadInProgress, CoordinatorNotAvailable: As :meth:`shard_of`.
        """
        if self._is_closed:
            raise CoordinatorNotAvailable("the broker is about to stop")
        partition, place = self._leads(index), self._places.get(index)
        if place is not None and (partition is None or not place.is_of(partition) or self._may_be_tried_again(place)):
            self._leave(index, NotCoordinator(f"{self._topic.name}-{index} has another leader, or a new epoch"))
            place = None
        if partition is None:
            raise NotCoordinator(f"this broker does not lead {self._topic.name}-{index}")
        if place is None:
            place = self._enter(index, partition)
        if place.failed_at_ms is not None:
            raise NotCoordinator(f"the state in {self._topic.name}-{index} cannot be had from the log")
        if place.loading is not None:
            raise CoordinatorLoadInProgress(f"{self._topic.name}-{index} is being loaded")
        return place.shard

    def led(self) -> list[int]:
        """The partitions that this broker leads."""
        return [index for index in range(self._topic.partition_count) if self._leads(index) is not None]

    def shards(self) -> list[S]:
        """The shards of all that this broker coordinates.

        Raises:
            CoordinatorLoadInProgress: One of them is being loaded.
            CoordinatorNotAvailable: The broker is about to stop.
        """
        found = []
        for index in self.led():
            with suppress(NotCoordinator):
                found.append(self.shard_at(index))
        return found

    def loaded(self) -> list[S]:
        """The shards that are loaded now."""
        return [place.shard for place in self._places.values() if place.loading is None and place.failed_at_ms is None]

    async def load_all(self) -> None:
        """Begin to load what there is."""
        for index in self.led():
            with suppress(KafkaError):  # it is being loaded, or was found to be damaged, which was said
                self.shard_at(index)
            await asyncio.sleep(0)

    def leave_all(self, error: KafkaError) -> None:
        """Give up every shard; whoever waits is told ``error``."""
        for index in list(self._places):
            self._leave(index, error)

    def close(self) -> None:
        """Give up every shard for good, as the broker is about to stop."""
        self._is_closed = True
        for task in self._loading:
            task.cancel()
        self.leave_all(CoordinatorNotAvailable("the broker is about to stop"))

    def _leads(self, index: int) -> Partition | None:
        partition = self._partitions.get(self._topic.name, index)
        return partition if partition is not None and partition.is_leader else None

    def _enter(self, index: int, partition: Partition) -> _Place[S]:
        """Load the state of a partition, at once or beside the requests."""

        def given_up(error: KafkaError) -> None:
            if self._places.get(index) is place:
                del self._places[index]

        place = _Place(partition, self._open_shard(partition, given_up))
        place.loading = place.shard.load()
        self._places[index] = place
        if partition.log.size_bytes <= AT_ONCE_BYTES:
            while self._load_step(place):
                pass
        else:
            task = asyncio.create_task(self._load(place))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        return place

    async def _load(self, place: _Place[S]) -> None:
        while self._load_step(place):  # noqa: ASYNC110 - it is this that does the work, nothing is waited for
            await asyncio.sleep(0)

    def _load_step(self, place: _Place[S]) -> bool:
        """Load some records; says whether any are left."""
        if place.loading is None:
            return False
        try:
            next(place.loading)
        except StopIteration:
            place.loading = None
        except (KafkaError, DecodeError) as error:
            _log.error("state_not_loaded", partition=str(place.partition.topic_partition), reason=str(error))
            place.loading, place.failed_at_ms = None, self._now_ms()
        return place.loading is not None

    def _may_be_tried_again(self, place: _Place[S]) -> bool:
        return place.failed_at_ms is not None and self._now_ms() - place.failed_at_ms >= RELOAD_AFTER_MS

    def _leave(self, index: int, error: KafkaError) -> None:
        place = self._places.pop(index)
        place.loading = None
        place.shard.close(error)

    def _now_ms(self) -> float:
        return self._clock.monotonic() * 1000
