import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minikafka.config.definition import ConfigError
from minikafka.errors import TopicAlreadyExists, UnknownTopicOrPartition
from minikafka.testing import running_broker
from minikafka_client import Admin, ConfigResource, Consumer, Producer, TopicPartition

ROOT = Path(__file__).parents[3]


def values(messages):
    return [message.value for message in messages]


def test_a_broker_is_there_and_then_gone():
    with running_broker() as broker:
        directory = broker.data_dir
        broker.topic("orders")
        assert (directory / "orders-0").is_dir()
    assert not directory.exists()


def test_brokers_side_by_side_know_nothing_of_each_other():
    with running_broker() as first, running_broker() as second:
        first.topic("orders")
        first.produce("orders", "a")
        second.topic("orders")
        assert second.records("orders") == []


def test_data_in_a_directory_of_ones_own_stay(tmp_path):
    with running_broker(tmp_path / "data") as broker:
        broker.produce("orders", "kept")
    with running_broker(tmp_path / "data") as broker:
        assert values(broker.records("orders")) == [b"kept"]


def test_topics_are_made_as_asked():
    with running_broker() as broker:
        assert broker.topic("orders", 3, {"cleanup.policy": "compact"}) == "orders"
        orders = ConfigResource.topic("orders")
        with Admin(broker.bootstrap_servers) as admin:
            assert len(admin.describe_topics(["orders"])["orders"].partitions) == 3
            assert admin.describe_configs([orders])[orders]["cleanup.policy"].value == "compact"
        assert len({broker.topic() for _ in range(3)}) == 3
        with pytest.raises(TopicAlreadyExists):
            broker.topic("orders")


def test_what_is_produced_says_where_it_stands():
    with running_broker() as broker:
        topic = broker.topic(partitions=2)
        stored = broker.produce(topic, "a", {"n": 1}, key="k", partition=1)
        assert [(entry.partition, entry.offset) for entry in stored] == [(1, 0), (1, 1)]
        assert [(message.key, message.value) for message in broker.records(topic)] == [
            (b"k", b"a"),
            (b"k", b"\x81\xa1n\x01"),
        ]


def test_records_of_a_topic_that_is_not_there_are_an_error():
    with running_broker() as broker, pytest.raises(UnknownTopicOrPartition):
        broker.records("orders")


def test_lag_is_what_a_group_has_still_to_acknowledge():
    with running_broker() as broker:
        topic = broker.topic(partitions=2)
        assert broker.lag("billing", topic) == 0
        broker.produce(topic, "a", "b", "c", partition=0)
        broker.produce(topic, "d", partition=1)
        assert broker.lag("billing", topic) == 4
        with Admin(broker.bootstrap_servers) as admin:
            admin.alter_group_offsets("billing", {TopicPartition(topic, 0): 1})
            assert broker.lag("billing", topic) == 3
            admin.delete_records({TopicPartition(topic, 0): 2, TopicPartition(topic, 1): 1})
        assert broker.lag("billing", topic) == 1
        with pytest.raises(UnknownTopicOrPartition):
            broker.lag("billing", "missing")


def test_settings_reach_the_broker():
    with running_broker(config={"num.partitions": "4"}) as broker:
        broker.produce("orders", "a")
        with Consumer(broker.bootstrap_servers) as consumer:
            assert len(consumer.partitions_for_topic("orders")) == 4


def test_records_of_any_age_stay():
    with running_broker(config={"log.retention.check.interval.ms": "10"}) as broker:
        kept, emptied = broker.topic(), broker.topic(config={"retention.ms": "604800000"})
        with Producer(broker.bootstrap_servers) as producer:
            for topic in (kept, emptied):
                producer.send_and_wait(topic, "from 1970", timestamp_ms=0)
        while broker.records(emptied):
            pass  # until the broker has looked for old records
        assert values(broker.records(kept)) == [b"from 1970"]


def test_wrong_settings_are_told():
    with pytest.raises(ConfigError, match=r"num\.partitions"), running_broker(config={"num.partition": "4"}):
        pass
    for key in ("listeners", "log.dirs"):
        with pytest.raises(ValueError, match="argument"), running_broker(config={key: "x"}):
            pass


def test_clients_go_on_after_a_restart():
    with running_broker() as broker:
        topic = broker.topic()
        before = broker.bootstrap_servers
        with Producer(before) as producer, Consumer(before, auto_offset_reset="earliest") as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            producer.send_and_wait(topic, "before")
            assert values(consumer.poll(20_000)) == [b"before"]
            broker.restart()
            producer.send_and_wait(topic, "after")
            assert values(consumer.poll(20_000)) == [b"after"]
        assert broker.bootstrap_servers == before


def test_helpers_may_be_called_from_many_threads():
    with running_broker() as broker, ThreadPoolExecutor(8) as threads:
        topics = list(threads.map(lambda _: broker.topic(partitions=2), range(16)))
        list(threads.map(lambda topic: broker.produce(topic, "a", "b"), topics))
        assert [len(broker.records(topic)) for topic in topics] == [2] * 16


def test_the_broker_ends_with_its_context_whatever_happens_in_it():
    with pytest.raises(ZeroDivisionError), running_broker() as broker:
        directory = broker.data_dir
        raise ZeroDivisionError
    assert not directory.exists()


def test_a_program_that_uses_it_ends_without_a_word():
    program = """
from minikafka.testing import running_broker
with running_broker() as broker:
    broker.produce("orders", "a", "b")
    print(len(broker.records("orders")))
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients")])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
