"""Members of a group, each in a process of its own, so that it can be killed: any client, telling what it sees."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from tests.interop.groups.ownership import Event, Kind

_PRELOADED = ["aiokafka", "confluent_kafka", "kafka", "minikafka_client", "tests.interop.groups.members"]
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.1

_asking = threading.Lock()
"""Held while anybody starts a process or asks how one ended: the answer can be read once, and starting asks for all."""

Tell = Callable[[Kind, Iterable[int]], None]


@dataclass(frozen=True)
class Spec:
    """A member to be: ``client`` and ``protocol`` are names in :data:`CLIENTS` and ``strategy`` in each client's table.

    ``protocol`` is ``classic`` or ``consumer``; ``release_s`` is how long it works on after it was told to let go.
    """

    name: str
    client: str
    bootstrap: str
    group_id: str
    topic: str
    protocol: str = "classic"
    strategy: str = "range"
    instance_id: str | None = None
    session_timeout_ms: int = 6_000
    heartbeat_interval_ms: int = 300
    release_s: float = 0.0

    @property
    def seat(self) -> str:
        """What the coordinator knows it by, whoever sits there: its instance id, or else the id of its client."""
        return self.instance_id or self.name


class Member:
    """A running member; ``events`` grows as it tells what it sees."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.events: list[Event] = []
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(spec, theirs), daemon=True)
        with _asking:
            self._process.start()
        theirs.close()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended by itself."""
        with _asking:
            return self._process.is_alive()

    def leave(self) -> None:
        """Close the consumer, and wait until the process is gone."""
        self._connection.send("leave")
        self._finish()
        assert self._process.exitcode == 0, f"{self.spec} ended with {self._process.exitcode}"

    def kill(self) -> None:
        """End the process as a crash does."""
        self._process.kill()
        self._finish()
        self.events.append(Event(time.monotonic_ns(), self.spec.name, Kind.GONE))

    def _finish(self) -> None:
        wait([self._process.sentinel], _STOP_TIMEOUT_S)
        with _asking:
            self._process.join(0)
        self._reader.join(_STOP_TIMEOUT_S)
        self._connection.close()

    def _listen(self) -> None:
        while True:
            try:
                self.events.append(self._connection.recv())
            except (EOFError, OSError):
                return


def _run(spec: Spec, connection: Connection) -> None:
    """What happens in the member's process."""
    asked_to_leave = threading.Event()
    lock = threading.Lock()

    def tell(kind: Kind, partitions: Iterable[int] = ()) -> None:
        if kind is Kind.REVOKED and partitions:
            time.sleep(spec.release_s)
        with lock:
            connection.send(Event(time.monotonic_ns(), spec.name, kind, frozenset(partitions)))

    def wait_for_word() -> None:
        try:
            connection.recv()
        except EOFError:
            os._exit(1)  # the test is gone
        asked_to_leave.set()

    threading.Thread(target=wait_for_word, daemon=True).start()
    CLIENTS[spec.client](spec, tell, asked_to_leave)


def _confluent(spec: Spec, tell: Tell, asked_to_leave: threading.Event) -> None:
    from confluent_kafka import Consumer

    settings: dict[str, Any] = {
        "bootstrap.servers": spec.bootstrap,
        "client.id": spec.name,
        "group.id": spec.group_id,
        "group.protocol": spec.protocol,
        "auto.offset.reset": "earliest",
        "topic.metadata.refresh.interval.ms": 1_000,
        "log_level": 0,
    }
    if spec.protocol == "classic":
        settings["partition.assignment.strategy"] = spec.strategy
        settings["session.timeout.ms"] = spec.session_timeout_ms
        settings["heartbeat.interval.ms"] = spec.heartbeat_interval_ms
    if spec.instance_id is not None:
        settings["group.instance.id"] = spec.instance_id
    consumer = Consumer(settings)
    is_incremental = spec.protocol == "consumer" or spec.strategy == "cooperative-sticky"

    def assigned(consumer: Any, partitions: Any) -> None:
        tell(Kind.ASSIGNED, [partition.partition for partition in partitions])
        (consumer.incremental_assign if is_incremental else consumer.assign)(partitions)

    def given_up(kind: Kind) -> Callable[[Any, Any], None]:
        def give_up(consumer: Any, partitions: Any) -> None:
            tell(kind, [partition.partition for partition in partitions])
            if is_incremental:
                consumer.incremental_unassign(partitions)
            else:
                consumer.unassign()

        return give_up

    consumer.subscribe([spec.topic], on_assign=assigned, on_revoke=given_up(Kind.REVOKED), on_lost=given_up(Kind.LOST))
    while not asked_to_leave.is_set():
        consumer.poll(_POLL_S)
    tell(Kind.GONE, ())
    consumer.close()


def _aiokafka(spec: Spec, tell: Tell, asked_to_leave: threading.Event) -> None:
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Any) -> None:
            tell(Kind.REVOKED, [partition.partition for partition in revoked])

        def on_partitions_assigned(self, assigned: Any) -> None:
            tell(Kind.ASSIGNED, [partition.partition for partition in assigned])

    async def consume() -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=spec.bootstrap,
            client_id=spec.name,
            group_id=spec.group_id,
            group_instance_id=spec.instance_id,
            auto_offset_reset="earliest",
            session_timeout_ms=spec.session_timeout_ms,
            heartbeat_interval_ms=spec.heartbeat_interval_ms,
            partition_assignment_strategy=[
                {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}[spec.strategy]
            ],
        )
        consumer.subscribe([spec.topic], listener=Listener())
        await consumer.start()
        while not asked_to_leave.is_set():
            await consumer.getmany(timeout_ms=int(_POLL_S * 1_000))
        tell(Kind.GONE, ())
        await consumer.stop()

    asyncio.run(consume())


def _kafka_python(spec: Spec, tell: Tell, asked_to_leave: threading.Event) -> None:
    from kafka import KafkaConsumer
    from kafka.consumer.subscription_state import ConsumerRebalanceListener
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Any) -> None:
            tell(Kind.REVOKED, [partition.partition for partition in revoked])

        def on_partitions_assigned(self, assigned: Any) -> None:
            tell(Kind.ASSIGNED, [partition.partition for partition in assigned])

        def on_partitions_lost(self, lost: Any) -> None:
            tell(Kind.LOST, [partition.partition for partition in lost])

    assignors = {
        "range": RangePartitionAssignor,
        "roundrobin": RoundRobinPartitionAssignor,
        "cooperative-sticky": CooperativeStickyAssignor,
    }
    consumer = KafkaConsumer(
        bootstrap_servers=spec.bootstrap,
        client_id=spec.name,
        group_id=spec.group_id,
        group_instance_id=spec.instance_id,
        auto_offset_reset="earliest",
        session_timeout_ms=spec.session_timeout_ms,
        heartbeat_interval_ms=spec.heartbeat_interval_ms,
        partition_assignment_strategy=[assignors[spec.strategy]],
    )
    consumer.subscribe([spec.topic], listener=Listener())
    # When new metadata makes it join again and poll gives up meanwhile, it forgets to go on and stays silent: so let
    # there be no metadata that is new to it.
    consumer.partitions_for_topic(spec.topic)
    while not asked_to_leave.is_set():
        consumer.poll(timeout_ms=int(_POLL_S * 1_000))
    tell(Kind.GONE, ())
    consumer.close()


def _sdk(spec: Spec, tell: Tell, asked_to_leave: threading.Event) -> None:
    from minikafka_client import Consumer

    consumer = Consumer(
        spec.bootstrap,
        client_id=spec.name,
        topics=[spec.topic],
        group_id=spec.group_id,
        group_instance_id=spec.instance_id,
        group_protocol="consumer" if spec.protocol == "consumer" else "classic",
        auto_offset_reset="earliest",
        session_timeout_ms=spec.session_timeout_ms,
        heartbeat_interval_ms=spec.heartbeat_interval_ms,
        partition_assignment_strategy=(spec.strategy,),
        on_partitions_assigned=lambda partitions: tell(Kind.ASSIGNED, [where.partition for where in partitions]),
        on_partitions_revoked=lambda partitions: tell(Kind.REVOKED, [where.partition for where in partitions]),
        on_partitions_lost=lambda partitions: tell(Kind.LOST, [where.partition for where in partitions]),
    )
    with consumer:
        while not asked_to_leave.is_set():
            consumer.poll(timeout_ms=_POLL_S * 1_000)
        tell(Kind.GONE, ())


CLIENTS: dict[str, Callable[[Spec, Tell, threading.Event], None]] = {
    "confluent-kafka": _confluent,
    "aiokafka": _aiokafka,
    "kafka-python": _kafka_python,
    "sdk": _sdk,
}
