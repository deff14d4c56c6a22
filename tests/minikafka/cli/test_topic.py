from __future__ import annotations

import json

import confluent_kafka
import pytest

from minikafka_client.sync import Producer
from tests.minikafka.cli.support import Invoke


@pytest.fixture(autouse=True)
def _broker(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)


def test_a_topic_is_created_as_it_is_asked_for(topic: str, invoke: Invoke) -> None:
    created = invoke("topic", "create", topic, "--partitions", "3", "--config", "retention.ms=1000")
    assert (created.code, created.out) == (0, f"created topic {topic}: 3 partitions, 1 replica\n")
    (described,) = json.loads(invoke("topic", "describe", topic, "-o", "json").out)
    assert described["partitions"] == 3
    assert described["replication_factor"] == 1
    assert described["configs"] == {"retention.ms": "1000"}
    assert [partition["end_offset"] for partition in described["partition_list"]] == [0, 0, 0]


def test_creating_it_twice_fails_unless_that_is_fine(topic: str, invoke: Invoke) -> None:
    assert invoke("topic", "create", topic).code == 0
    again = invoke("topic", "create", topic)
    assert again.code == 1
    assert "already exists" in again.err
    assert "minikafka topic alter" in again.err
    assert invoke("topic", "create", topic, "--if-not-exists").out == f"topic {topic} exists already\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--replication-factor", "2"], "there cannot be more replicas than brokers"),
        (["--config", "retention.mss=1"], "retention.ms"),
        (["--config", "retention.ms=soon"], "soon"),
    ],
)
def test_what_the_broker_refuses_is_one_line(arguments: list[str], part: str, topic: str, invoke: Invoke) -> None:
    outcome = invoke("topic", "create", topic, *arguments)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert part in outcome.err


def test_a_name_that_is_no_topic_name_says_what_is(invoke: Invoke) -> None:
    outcome = invoke("topic", "create", "no spaces")
    assert outcome.code == 1
    assert "use letters, digits" in outcome.err


def test_all_topics_are_listed(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "12")
    table = invoke("topic", "list").out.splitlines()
    assert table[0].split() == ["NAME", "PARTITIONS", "REPLICAS"]
    assert [topic, "12", "1"] in [line.split() for line in table]
    (listed,) = [entry for entry in json.loads(invoke("topic", "list", "-o", "json").out) if entry["name"] == topic]
    assert (listed["partitions"], listed["replication_factor"], listed["internal"]) == (12, 1, False)


def test_a_description_counts_the_records(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--config", "segment.bytes=2000")
    invoke("produce", topic, stdin=b"one\ntwo\n")
    text = invoke("topic", "describe", topic).out
    assert "1 partition, 1 replica, 2 records" in text
    assert "  segment.bytes=2000\n" in text


def test_a_topic_that_is_not_there_cannot_be_described_altered_or_deleted(topic: str, invoke: Invoke) -> None:
    for arguments in (["describe", topic], ["alter", topic, "--partitions", "2"], ["delete", topic, "-y"]):
        outcome = invoke("topic", *arguments)
        assert outcome.code == 1
        assert topic in outcome.err
        assert "minikafka topic list" in outcome.err


def test_altering_changes_what_is_named_and_nothing_else(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--config", "retention.ms=1000", "--config", "segment.ms=5000")
    altered = invoke(
        "topic", "alter", topic, "--partitions", "4", "--config", "segment.ms=6000", "--delete-config", "retention.ms"
    )
    assert (altered.code, altered.out) == (0, f"altered topic {topic}\n")
    (described,) = json.loads(invoke("topic", "describe", topic, "-o", "json").out)
    assert described["partitions"] == 4
    assert described["configs"] == {"segment.ms": "6000"}
    assert invoke("topic", "alter", topic, "--partitions", "2").code == 1


def test_deleting_asks_first(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic)
    kept = invoke("topic", "delete", topic, stdin=b"n\n")
    assert kept.code == 1
    assert "nothing was deleted" in kept.err
    assert invoke("topic", "describe", topic).code == 0
    assert invoke("topic", "delete", topic, stdin=b"y\n").out.strip() == f"deleted topic {topic}"
    assert invoke("topic", "describe", topic).code == 1


def test_a_question_that_nobody_answers_says_how_not_to_be_asked(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic)
    unanswered = invoke("topic", "delete", topic, stdin=b"")
    assert unanswered.code == 2
    assert "-y" in unanswered.err.splitlines()[-1]
    assert invoke("topic", "describe", topic).code == 0


def test_deleting_does_not_ask_when_it_is_told_so(topic: str, invoke: Invoke) -> None:
    names = [f"{topic}-a", f"{topic}-b"]
    for name in names:
        invoke("topic", "create", name)
    assert invoke("topic", "delete", *names, "--yes").out == "".join(f"deleted topic {name}\n" for name in names)


@pytest.mark.parametrize("key", ["alice", "bob", "", "käse"])
def test_a_key_goes_to_the_partition_that_is_told(key: str, topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "7")
    told = json.loads(invoke("topic", "which-partition", topic, key, "-o", "json").out)
    assert (told["topic"], told["partitions"], told["key"]) == (topic, 7, key)
    with Producer(bootstrap) as producer:
        assert producer.send_and_wait(topic, b"x", key).partition == told["murmur2"]
    assert librdkafka_partition(bootstrap, topic, key) == told["crc32"] or not key  # which takes it for no key
    lines = invoke("topic", "which-partition", topic, key).out.splitlines()
    assert lines[0].split() == ["PARTITION", "HASH", "CLIENTS"]
    assert [line.split()[0] for line in lines[1:]] == [f"{topic}[{told['murmur2']}]", f"{topic}[{told['crc32']}]"]


def librdkafka_partition(bootstrap: str, topic: str, key: str) -> int:
    partitions: list[int] = []
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
    producer.produce(
        topic, b"x", key.encode(), on_delivery=lambda error, message: partitions.append(message.partition())
    )
    producer.flush(30)
    return partitions[0]
