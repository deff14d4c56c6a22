"""Groups at work while their broker is killed under them: who produces, and members that process and commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import cycle
from random import Random
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError as AioKafkaError
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ConfluentPlace

from minikafka.errors import KafkaError
from minikafka.net.connection import Connection, NetworkError
from minikafka.net.server import Address
from minikafka.types import TopicPartition
from minikafka_client import AsyncConsumer
from minikafka_client.consumer.options import GroupProtocol
from tests.crash.group_history import CommitAcknowledged, CommitBegun, History, Offsets, Processed
from tests.crash.load import Entry, Journal, make_value
from tests.support.data_plane import DataPlaneClient, batch_of

TOPIC = "jobs"
PLACES = [TopicPartition(TOPIC, number) for number in range(4)]

_RECORDS_PER_BATCH = 5
_BATCH_EVERY_S = 0.01
_COMMIT_EVERY = 20
"""Records."""
_POLL_S = 0.1

WAIT_S = 40.0
"""How long to wait for what must happen."""


class Producing:
    """Records for each partition in turn, at a pace that members can keep up with; none is sent again."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, address: Address) -> None:
        """Produce until the broker is gone, or :meth:`stop`."""
        self._task = asyncio.create_task(self._produce(address))

    async def stop(self) -> None:
        """Wait until it is noticed that the broker is gone, or end it while there is one."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _produce(self, address: Address) -> None:
        connection = await Connection.open(*address, client_id="producing")
        client = DataPlaneClient(connection)
        try:
            while True:
                for place in PLACES:
                    values = [self._next_value(place) for _ in range(_RECORDS_PER_BATCH)]
                    answer = await client.produce(place.topic, batch_of(*values), partition=place.partition, acks=-1)
                    assert answer.error_code == 0, answer
                    base = answer.base_offset
                    self.journal.write(Entry(place, base + number, value) for number, value in enumerate(values))
                    await asyncio.sleep(_BATCH_EVERY_S)
        except NetworkError:
            return
        finally:
            connection.close()

    def _next_value(self, place: TopicPartition) -> bytes:
        self._number += 1
        return make_value(place, 0, self._number)


class Member(Protocol):
    """Somebody in a group that lives on when the broker dies."""

    async def start(self) -> None:
        """Join, and work until :meth:`stop`."""
        ...

    async def stop(self) -> None:
        """Leave the group.

        Raises:
            Exception: What went wrong meanwhile.
        """
        ...


NewMember = Callable[[str, History], Member]
"""Makes a member of that name, which has not joined yet."""


class Group:
    """A group whose members live longer than the broker.

    Args:
        group_id: Its id.
        kinds: What its members are, by name; a member that is replaced is followed by one of the next kind.
    """

    def __init__(self, group_id: str, kinds: Mapping[str, NewMember]) -> None:
        self.group_id = group_id
        self.history = History()
        self.kinds = kinds
        self._next_kind = cycle(kinds)
        self._named = 0
        self._members: list[Member] = []

    async def start(self) -> None:
        """Have every member join."""
        for _ in range(len(self.kinds)):
            await self._add_member()

    async def replace_member(self, random: Random) -> None:
        """Have a member leave, and another join."""
        leaving = self._members.pop(random.randrange(len(self._members)))
        await leaving.stop()
        await self._add_member()

    async def stop(self) -> None:
        """Have every member leave."""
        while self._members:
            await self._members.pop().stop()

    async def abandon(self) -> None:
        """End every member, come what may."""
        for member in self._members:
            with suppress(Exception, asyncio.CancelledError):  # aiokafka raises both
                await member.stop()

    async def has_committed_everywhere(self) -> None:
        """Wait until one commit more has been acknowledged in each partition."""
        await asyncio.to_thread(self.history.wait_for_commits, PLACES, WAIT_S)

    async def has_committed(self, offsets: Offsets) -> None:
        """Wait until the group has come so far and no farther."""
        await asyncio.to_thread(self.history.wait_until_committed, offsets, WAIT_S)

    async def _add_member(self) -> None:
        self._named += 1
        kind = next(self._next_kind)
        member = self.kinds[kind](f"{kind}-{self._named}", self.history)
        await member.start()
        self._members.append(member)


class AioMember(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka, with the classic protocol."""

    def __init__(self, name: str, bootstrap: str, group_id: str, history: History) -> None:
        self._name = name
        self._history = history
        self._at_work = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group_id,
            client_id=name,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=300,
            retry_backoff_ms=20,
            max_poll_interval_ms=20_000,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        self._consumer.subscribe([TOPIC], listener=self)

    async def start(self) -> None:
        await self._consumer.start()
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._consumer.stop()
        if not self._task.cancelled():
            self._task.result()

    async def on_partitions_revoked(self, revoked: Iterable[object]) -> None:
        """Give nothing up before what was begun is committed, or could not be."""
        async with self._at_work:
            return

    def on_partitions_assigned(self, assigned: Iterable[object]) -> None:
        """Work goes on by itself."""

    async def _work(self) -> None:
        while True:
            records = await self._consumer.getmany(timeout_ms=int(_POLL_S * 1000), max_records=_COMMIT_EVERY)
            if self._at_work.locked():
                continue  # the partitions are about to be given up
            async with self._at_work:
                await self._process(records)

    async def _process(self, records: dict[Any, list[Any]]) -> None:
        done: dict[TopicPartition, int] = {}
        for partition, messages in records.items():
            place = TopicPartition(partition.topic, partition.partition)
            for message in messages:
                self._history.add(Processed(self._name, place, message.offset, message.value))
                done[place] = message.offset + 1
        if done:
            self._history.add(CommitBegun(self._name, done))
            try:
                await self._consumer.commit(dict(zip(records, done.values(), strict=True)))
            except AioKafkaError:
                return
            self._history.add(CommitAcknowledged(self._name, done))


class SdkMember:
    """The project's own client."""

    def __init__(
        self, name: str, bootstrap: str, group_id: str, history: History, protocol: GroupProtocol = "classic"
    ) -> None:
        self._name = name
        self._history = history
        self._task: asyncio.Task[None] | None = None
        self._consumer = AsyncConsumer(
            bootstrap,
            topics=[TOPIC],
            group_id=group_id,
            group_protocol=protocol,
            client_id=name,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=300,
            retry_backoff_ms=20,
            partition_assignment_strategy=["range"],
        )

    async def start(self) -> None:
        await self._consumer.start()
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._consumer.close()
        if not self._task.cancelled():
            self._task.result()

    async def _work(self) -> None:
        while True:
            done: dict[TopicPartition, int] = {}
            for message in await self._consumer.poll(_POLL_S * 1000, _COMMIT_EVERY):
                place = TopicPartition(message.topic, message.partition)
                self._history.add(Processed(self._name, place, message.offset, message.value))
                done[place] = message.offset + 1
            if done:
                self._history.add(CommitBegun(self._name, done))
                try:
                    await self._consumer.commit(done)
                except KafkaError:
                    continue
                self._history.add(CommitAcknowledged(self._name, done))


class ConfluentMember:
    """librdkafka, in a thread of its own; ``protocol`` is ``classic`` or ``consumer``."""

    def __init__(self, name: str, bootstrap: str, group_id: str, history: History, protocol: str = "classic") -> None:
        self._name = name
        self._history = history
        self._is_incremental = protocol == "consumer"
        self._done: dict[TopicPartition, int] = {}
        self._count = 0
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        classic = {"partition.assignment.strategy": "range", "session.timeout.ms": 6_000, "heartbeat.interval.ms": 300}
        self._settings: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "broker.address.family": "v4",
            "group.id": group_id,
            "group.protocol": protocol,
            "client.id": name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "reconnect.backoff.ms": 10,
            "reconnect.backoff.max.ms": 100,
            "retry.backoff.ms": 10,
            "log_level": 0,  # that there is no broker, now and then, is known
            **(classic if protocol == "classic" else {}),
        }

    async def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, WAIT_S)
        assert not self._thread.is_alive(), f"{self._name} does not end"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - whoever stops it is told
            self._failure = error

    def _work(self) -> None:
        consumer = Consumer(self._settings)
        consumer.subscribe([TOPIC], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        try:
            while not self._stopping.is_set():
                message = consumer.poll(_POLL_S)
                if message is not None and message.error() is None:
                    place = TopicPartition(str(message.topic()), int(message.partition() or 0))
                    offset = int(message.offset() or 0)
                    self._history.add(Processed(self._name, place, offset, bytes(message.value() or b"")))
                    self._done[place] = offset + 1
                    self._count += 1
                if self._done and (message is None or self._count >= _COMMIT_EVERY):
                    self._commit(consumer)
        finally:
            consumer.close()

    def _commit(self, consumer: Consumer) -> None:
        done = dict(self._done)
        self._forget()
        self._history.add(CommitBegun(self._name, done))
        wanted = [ConfluentPlace(place.topic, place.partition, offset) for place, offset in done.items()]
        try:
            answered = consumer.commit(offsets=wanted, asynchronous=False) or []
        except KafkaException:
            return
        good = {place for place in done if any(_is_good(answer, place) for answer in answered)}
        self._history.add(CommitAcknowledged(self._name, {place: done[place] for place in good}))

    def _assigned(self, consumer: Consumer, partitions: list[ConfluentPlace]) -> None:
        self._forget()
        (consumer.incremental_assign if self._is_incremental else consumer.assign)(partitions)

    def _revoked(self, consumer: Consumer, partitions: list[ConfluentPlace]) -> None:
        """What was processed and not committed will be processed again, by whoever gets it."""
        self._forget()
        if self._is_incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()

    def _forget(self) -> None:
        self._done.clear()
        self._count = 0


def _is_good(answer: ConfluentPlace, place: TopicPartition) -> bool:
    return answer.error is None and (answer.topic, answer.partition) == place
