from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minikafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced, TopicAlreadyExists
from minikafka.types import TopicPartition
from minikafka_client import (
    Admin,
    AlterConfig,
    AsyncAdmin,
    AsyncConsumer,
    AsyncProducer,
    ConfigResource,
    Consumer,
    Delivery,
    GroupState,
    NewTopic,
    NoBrokersAvailable,
    NotDelivered,
    OffsetAndMetadata,
    OffsetSpec,
    Producer,
)
from minikafka_client.consumer.options import ConsumerOptions
from minikafka_client.producer.options import ProducerOptions
from minikafka_client.sync import AdminOptions
from tests.support.broker import ROOT, running_broker

ORDERS = TopicPartition("orders", 0)


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker in a thread of its own, so that nothing here shares its loop."""
    started: list[str] = []
    is_ready, may_end = threading.Event(), threading.Event()

    async def serve() -> None:
        async with running_broker(tmp_path_factory.mktemp("data"), "log.retention.ms=-1") as broker:
            started.append(broker.bootstrap)
            is_ready.set()
            await asyncio.to_thread(may_end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    is_ready.wait()
    yield started[0]
    may_end.set()
    thread.join()


@pytest.fixture
def topic(bootstrap: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A topic of one partition."""
    name = request.node.name[:200].replace("[", "-").replace("]", "")
    with Admin(bootstrap) as admin:
        admin.create_topics([NewTopic(name, num_partitions=1)])
        yield name
        admin.delete_topics([name])


def test_what_is_sent_is_read_without_any_event_loop(bootstrap: str, topic: str) -> None:
    with Producer(bootstrap) as producer:
        deliveries = [producer.send(topic, f"value {number}", key=number) for number in range(100)]
        assert [delivery.result(timeout_s=10).offset for delivery in deliveries] == list(range(100))
    with Consumer(bootstrap, topics=[topic], auto_offset_reset="earliest") as consumer:
        values = []
        for message in consumer:
            values.append(message.value)
            if len(values) == 100:
                break
    assert values == [b"value %d" % number for number in range(100)]


def test_polling_and_iterating_may_be_mixed(bootstrap: str, topic: str) -> None:
    with Producer(bootstrap) as producer:
        for number in range(10):
            producer.send(topic, b"%d" % number)
    where = TopicPartition(topic, 0)
    with Consumer(bootstrap, topics=[topic], auto_offset_reset="earliest") as consumer:
        assert next(consumer).value == b"0"
        assert [message.value for message in consumer.poll(max_records=2)] == [b"1", b"2"]
        assert next(consumer).value == b"3"
        assert consumer.position(where) == 4
        assert consumer.lag(where) == 6


def test_the_plain_consumer_goes_where_it_is_told(bootstrap: str, topic: str) -> None:
    where = TopicPartition(topic, 0)
    with Producer(bootstrap) as producer:
        for number in range(10):
            producer.send(topic, b"%d" % number, timestamp_ms=1_000 + number)
    with Consumer(bootstrap) as consumer:
        assert consumer.partitions_for_topic(topic) == [where]
        assert consumer.beginning_offsets([where]) == {where: 0}
        assert consumer.end_offsets([where]) == {where: 10}
        there = consumer.offsets_for_times({where: 1_005})[where]
        assert there is not None
        assert there.offset == 5
        consumer.assign([where])
        assert consumer.assignment == {where}
        consumer.seek(where, 7)
        assert next(consumer).value == b"7"
        consumer.seek_to_beginning()
        assert next(consumer).value == b"0"
        consumer.seek_to_time(1_003, where)
        assert next(consumer).value == b"3"
        consumer.pause(where)
        assert consumer.paused == {where}
        assert consumer.poll(timeout_ms=5) == []
        consumer.resume(where)
        consumer.seek_to_end(where)
        assert consumer.position(where) == 10
        assert consumer.poll(timeout_ms=5) == []


def test_many_threads_may_share_a_producer(bootstrap: str, topic: str) -> None:
    with Producer(bootstrap) as producer:

        def send(thread: int) -> None:
            for number in range(500):
                producer.send(topic, b"%d %d" % (thread, number))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        producer.flush()
        with Consumer(bootstrap, topics=[topic], auto_offset_reset="earliest") as consumer:
            values = [next(consumer).value for _ in range(2_000)]
    for thread_number in range(4):
        mine = [value for value in values if value is not None and value.startswith(b"%d " % thread_number)]
        assert mine == [b"%d %d" % (thread_number, number) for number in range(500)]


def test_full_memory_holds_the_thread_up_and_loses_nothing(bootstrap: str, topic: str) -> None:
    with Producer(bootstrap, buffer_memory=5_000, batch_size=1_000) as producer:
        deliveries = [producer.send(topic, bytes(400)) for _ in range(200)]
    assert [delivery.result().offset for delivery in deliveries] == list(range(200))


def test_callbacks_are_called_in_the_clients_thread(bootstrap: str, topic: str) -> None:
    called: list[str] = []
    is_called = threading.Event()

    def note(delivery: Delivery) -> None:
        called.append(threading.current_thread().name)
        is_called.set()

    with Producer(bootstrap) as producer:
        producer.send(topic, b"x", on_delivery=note)  # one that is added later may come too late, and is called here
        assert is_called.wait(10)
    assert called == ["minikafka-client"]


def test_records_can_be_sent_one_by_one(bootstrap: str, topic: str) -> None:
    with Producer(bootstrap) as producer:
        assert producer.partitions_for(topic) == 1
        metadata = producer.send_and_wait(topic, b"x", "key", headers={"a": b"b"}, timestamp_ms=5)
    assert (metadata.topic, metadata.partition, metadata.offset, metadata.timestamp_ms) == (topic, 0, 0, 5)


def test_a_program_that_just_ends_delivers_what_it_sent(bootstrap: str, topic: str) -> None:
    program = (
        "from minikafka_client import Producer\n"
        f"producer = Producer({bootstrap!r}, linger_ms=60_000)\n"
        f"for number in range(1_000): producer.send({topic!r}, b'%d' % number)\n"
    )
    with run_program(program) as process:
        assert process.wait(30) == 0
    with Consumer(bootstrap, topics=[topic], auto_offset_reset="earliest") as consumer:
        assert [next(consumer).value for _ in range(1_000)] == [b"%d" % number for number in range(1_000)]


def run_program(program: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python program in a process of its own, which finds the client."""
    path = f"{ROOT}:{Path(ROOT) / 'clients'}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": path},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


ITERATE = """
import sys, time
from minikafka_client import Consumer
bootstrap, topic = sys.argv[1:]
consumer = Consumer(bootstrap, topics=[topic], group_id=topic, auto_offset_reset="earliest", session_timeout_ms=60_000)
for message in consumer:
    print(message.value.decode(), flush=True)
    if message.value == b"2":
        {ending}
"""


@pytest.mark.parametrize(
    "ending", ["break", "raise SystemExit", "1 / 0", "time.sleep(60)"], ids=["end", "exit", "error", "interrupt"]
)
def test_a_program_that_just_ends_leaves_its_group_with_what_it_processed(
    bootstrap: str, topic: str, ending: str
) -> None:
    with Producer(bootstrap) as producer:
        for number in range(3):
            producer.send(topic, b"%d" % number)
    with run_program(ITERATE.format(ending=ending), bootstrap, topic) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["0\n", "1\n", "2\n"]
        if ending == "time.sleep(60)":
            process.send_signal(signal.SIGINT)
        process.wait(30)
    with Consumer(bootstrap, topics=[topic], group_id=topic) as consumer:
        # Were the other still a member, this one would have to wait until its session is over.
        assert next(consumer).value == b"2", "the last message was still in hand"


FORK = """
import os, sys
from minikafka_client import Consumer, Producer
bootstrap, topic = sys.argv[1:]
producer = Producer(bootstrap)
producer.send(topic, b"x").result()
consumer = Consumer(bootstrap, topics=[topic], auto_offset_reset="earliest")
next(consumer)
child = os.fork()
if not child:
    for use in consumer.poll, consumer.close, producer.flush:
        try:
            use()
        except RuntimeError as error:
            print(error)
    with Consumer(bootstrap, topics=[topic], auto_offset_reset="earliest") as own:
        print(next(own).value)
    sys.exit()
_, status = os.waitpid(child, 0)
consumer.seek_to_beginning()
print(status, next(consumer).value)
"""


def test_a_forked_process_is_told_that_it_needs_clients_of_its_own(bootstrap: str, topic: str) -> None:
    with run_program(FORK, bootstrap, topic) as process:
        said, _ = process.communicate(timeout=60)
    *refusals, own, parents = said.splitlines()
    assert len(refusals) == 3
    assert all("before the process was forked" in line for line in refusals)
    assert (own, parents) == ("b'x'", "0 b'x'")


def test_a_consumer_may_be_used_by_one_thread_after_the_other(bootstrap: str, topic: str) -> None:
    with Producer(bootstrap) as producer:
        for number in range(4):
            producer.send(topic, b"%d" % number)
    with Consumer(bootstrap, topics=[topic], auto_offset_reset="earliest") as consumer:
        values = []
        for _ in range(4):
            thread = threading.Thread(target=lambda: values.append(next(consumer).value))
            thread.start()
            thread.join()
    assert values == [b"0", b"1", b"2", b"3"]


def test_closing_from_another_thread_ends_an_iteration(bootstrap: str, topic: str) -> None:
    with Producer(bootstrap) as producer:
        producer.send(topic, b"x")
    consumer = Consumer(bootstrap, topics=[topic], group_id=topic, auto_offset_reset="earliest")
    is_read = threading.Event()

    def follow() -> None:
        for message in consumer:
            assert message.value == b"x"
            is_read.set()

    following = threading.Thread(target=follow)
    following.start()
    assert is_read.wait(20)
    consumer.close()
    following.join(20)
    assert not following.is_alive()


def test_a_group_is_used_without_any_event_loop(bootstrap: str, topic: str) -> None:
    where = TopicPartition(topic, 0)
    told: list[tuple[str, str]] = []

    def note(what: str) -> Callable[[frozenset[TopicPartition]], None]:
        return lambda _: told.append((what, threading.current_thread().name))

    with Producer(bootstrap) as producer:
        for number in range(10):
            producer.send(topic, b"%d" % number)
    with Consumer(
        bootstrap,
        topics=[topic],
        group_id=topic,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        on_partitions_assigned=note("assigned"),
        on_partitions_revoked=note("revoked"),
    ) as consumer:
        assert [next(consumer).value for _ in range(3)] == [b"0", b"1", b"2"]
        assert consumer.subscription == {topic}
        consumer.commit()
        assert consumer.committed([where])[where] == OffsetAndMetadata(3)
        consumer.commit_async({where: 5}).result(10)
        assert consumer.group_metadata.generation_id > 0
    here = threading.current_thread().name
    assert told == [("assigned", here), ("revoked", here)]
    with Consumer(bootstrap, group_id=topic) as consumer:
        consumer.subscribe([topic])
        assert next(consumer).value == b"5"
        consumer.unsubscribe()
        assert not consumer.assignment


def test_a_consumer_that_cannot_start_is_closed(bootstrap: str) -> None:
    consumer = Consumer("127.0.0.1:1", topics=["orders"])
    with pytest.raises(NoBrokersAvailable), consumer:
        pass
    assert list(consumer) == []


def test_closing_says_what_was_not_delivered(bootstrap: str, topic: str) -> None:
    with Admin(bootstrap) as admin:
        admin.alter_configs({ConfigResource.topic(topic): [AlterConfig("max.message.bytes", "200")]})
    producer = Producer(bootstrap)
    producer.send(topic, bytes(500))
    with pytest.raises(NotDelivered, match="1 records"):
        producer.close()


def test_errors_are_raised_in_the_thread_that_asked(bootstrap: str, topic: str) -> None:
    with Admin(bootstrap) as admin, pytest.raises(TopicAlreadyExists, match=topic):
        admin.create_topics([NewTopic(topic)])
    with pytest.raises(NoBrokersAvailable), Producer("127.0.0.1:1"):
        pass
    with Producer(bootstrap) as producer, pytest.raises(KafkaError, match="cannot name a topic"):
        producer.send("no/topic", b"x")


def test_the_plain_admin_does_what_the_other_does(bootstrap: str, topic: str) -> None:
    resource = ConfigResource.topic(topic)
    with Admin(bootstrap) as admin:
        assert [broker.address for broker in admin.describe_cluster().brokers]
        admin.create_partitions({topic: 2})
        assert len(admin.describe_topics([topic])[topic].partitions) == 2
        assert topic in [info.name for info in admin.list_topics()]
        admin.alter_configs({resource: [AlterConfig("retention.ms", "1000")]})
        assert admin.describe_configs([resource], keys=["retention.ms"])[resource]["retention.ms"].value == "1000"
        assert admin.delete_records({TopicPartition(topic, 0): -1}) == {TopicPartition(topic, 0): 0}
        assert admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.LATEST})[TopicPartition(topic, 0)].offset == 0
        ((_, directories),) = admin.describe_log_dirs().items()
        assert all(TopicPartition(topic, 1) in directory.replicas for directory in directories.values())


def test_the_plain_admin_looks_after_groups_as_the_other_does(bootstrap: str, topic: str) -> None:
    where = TopicPartition(topic, 0)
    with Admin(bootstrap) as admin:
        admin.alter_group_offsets(topic, {where: 0})
        assert admin.list_group_offsets(topic) == {where: OffsetAndMetadata(0)}
        assert topic in [group.group_id for group in admin.list_groups(states=[GroupState.EMPTY])]
        assert admin.describe_groups([topic])[topic].members == ()
        admin.remove_group_members(topic)
        admin.delete_group_offsets(topic, [where])
        assert admin.list_group_offsets(topic) == {}
        admin.alter_group_offsets(topic, {where: 0})
        admin.delete_groups([topic])
        assert topic not in [group.group_id for group in admin.list_groups()]


def test_the_plain_admin_looks_after_transactions_as_the_other_does(bootstrap: str, topic: str) -> None:
    where = TopicPartition(topic, 0)
    with Admin(bootstrap) as admin, Producer(bootstrap, transactional_id=topic) as producer:
        with pytest.raises(ProducerFenced), producer.transaction():
            producer.send_and_wait(topic, b"x", partition=0)
            assert topic in [found.transactional_id for found in admin.list_transactions(states=["Ongoing"])]
            assert admin.describe_transactions([topic])[topic].partitions == {where}
            (state,) = admin.describe_producers([where])[where]
            assert state.transaction_start_offset == 0
            admin.fence_producers([topic])
        with pytest.raises(InvalidProducerEpoch):
            admin.abort_transaction(where, state)


def test_a_consumer_that_was_closed_in_its_loop_has_ended(bootstrap: str, topic: str) -> None:
    consumer = Consumer(bootstrap, topics=[topic])
    assert consumer.poll(timeout_ms=1) == []
    consumer.close()
    assert list(consumer) == []


@pytest.mark.parametrize(
    ("options", "face"),
    [(ProducerOptions, AsyncProducer), (ConsumerOptions, AsyncConsumer), (AdminOptions, AsyncAdmin)],
)
def test_both_faces_have_the_same_options(options: Any, face: Any) -> None:
    signature = inspect.signature(face)
    assert list(options.__annotations__) == [name for name in signature.parameters if name != "bootstrap_servers"]


@pytest.mark.parametrize(("plain", "face"), [(Producer, AsyncProducer), (Consumer, AsyncConsumer), (Admin, AsyncAdmin)])
def test_both_faces_have_the_same_methods(plain: Any, face: Any) -> None:
    internal = {"start", "try_send", "next_decoded"}
    assert {name for name in dir(plain) if not name.startswith("_")} == {
        name for name in dir(face) if not name.startswith("_")
    } - internal
