from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minikafka_client.sync import Consumer, Producer
from tests.minikafka.cli.support import Invoke, serving
from tests.support.hanging import forget_transactions, leave_open


@pytest.fixture(autouse=True)
def _broker(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)


@contextmanager
def open_transaction(bootstrap: str, topic: str) -> Iterator[None]:
    """A transaction that has written to both partitions of the topic, whose name is the transactional id."""
    with Producer(bootstrap, transactional_id=topic) as producer, producer.transaction():
        for partition in (0, 1):
            producer.send_and_wait(topic, b"x", partition=partition)
        yield


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker of its own with a transaction that hangs in ``orders[0]`` from offset 0 on."""
    arguments = ("--data-dir", str(tmp_path / "data"))
    with serving(tmp_path, *arguments) as broker:
        asyncio.run(leave_open(broker.bootstrap))
    forget_transactions(tmp_path / "data")
    with serving(tmp_path, *arguments) as broker:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap)
        yield


def test_transactional_ids_are_listed_by_state_age_and_pattern(topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "2")
    with open_transaction(bootstrap, topic):
        header, *rows = invoke("transaction", "list", "--id", topic).out.splitlines()
        assert header.split() == ["TRANSACTIONAL", "ID", "STATE", "PRODUCER"]
        assert [row.split()[:2] for row in rows] == [[topic, "Ongoing"]]
        (listed,) = json.loads(invoke("transaction", "list", "--state", "ongoing", "--id", topic, "-o", "json").out)
        assert (listed["transactional_id"], listed["state"]) == (topic, "Ongoing")
        while topic not in invoke("transaction", "list", "--running-for", "1ms").out:
            pass
        assert topic not in invoke("transaction", "list", "--running-for", "1d").out
    assert topic not in invoke("transaction", "list", "--running-for", "1ms").out, "it is over"
    assert "CompleteCommit" in invoke("transaction", "list", "--id", topic).out
    assert invoke("transaction", "list", "--id", "none").err.startswith("no transactional ids; a producer with")


def test_a_description_shows_what_an_open_transaction_writes_to(topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "2")
    with open_transaction(bootstrap, topic):
        header, row = invoke("transaction", "describe", topic).out.splitlines()
        assert header.split()[2:] == [
            *["STATE", "PRODUCER", "EPOCH", "COORDINATOR", "TIMEOUT", "OPEN", "FOR", "PARTITIONS"]
        ]
        assert row.startswith(f"{topic}  Ongoing")
        assert "1m" in row.split()
        assert row.endswith(f"{topic}[0], {topic}[1]")
        (found,) = json.loads(invoke("transaction", "describe", topic, "-o", "json").out)
        assert (found["transactional_id"], found["state"], found["timeout_ms"]) == (topic, "Ongoing", 60_000)
        assert found["partitions"] == [{"topic": topic, "partition": number} for number in (0, 1)]
    assert invoke("transaction", "describe", topic).out.splitlines()[1].split()[-2:] == ["-", "-"]


def test_what_is_not_there_is_said_in_a_line(topic: str, invoke: Invoke) -> None:
    unknown = invoke("transaction", "describe", topic)
    assert (unknown.code, unknown.err.splitlines()) == (
        1,
        [f"minikafka: transactional id '{topic}': it does not exist; see 'minikafka transaction list'"],
    )
    wrong = invoke("transaction", "list", "--id", "(")
    assert (wrong.code, len(wrong.err.splitlines())) == (1, 1)
    assert "'(' is not a valid regular expression; it is to be one that RE2 knows" in wrong.err
    assert invoke("transaction", "list", "--running-for", "5").code == 2


def test_a_transaction_that_hangs_is_found_and_aborted(hanging: None, invoke: Invoke) -> None:
    assert invoke("transaction", "find-hanging", "--older-than", "36500d").err == "no transaction hangs\n"
    found = invoke("transaction", "find-hanging", "--older-than", "0s")
    header, row = found.out.splitlines()
    assert header.split() == ["PARTITION", "START", "PRODUCER", "EPOCH", "LAST", "RECORD", "TRANSACTIONAL", "ID"]
    assert row.split()[:2] == ["orders[0]", "0"]
    assert row.split()[-2:] == ["ago", "-"]
    (told,) = json.loads(invoke("transaction", "find-hanging", "orders", "--older-than", "0s", "-o", "json").out)
    assert (told["topic"], told["partition"], told["start_offset"], told["transactional_id"]) == ("orders", 0, 0, None)

    place = ("orders", "-p", "0", "--start-offset", "0")
    assert invoke("transaction", "abort", *place, stdin=b"n\n").err.endswith("nothing was aborted\n")
    assert invoke("transaction", "abort", *place, "-y").out == (
        "aborted the transaction in orders[0] that starts at offset 0\n"
    )
    assert invoke("transaction", "find-hanging", "--older-than", "0s").err == "no transaction hangs\n"
    again = invoke("transaction", "abort", *place, "-y")
    assert again.code == 1
    assert again.err.startswith("minikafka: no transaction that is open in orders[0] starts at offset 0; see ")


def test_a_transaction_that_its_coordinator_knows_is_not_torn(topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "2")
    with open_transaction(bootstrap, topic):
        assert invoke("transaction", "find-hanging", topic, "--older-than", "0s").err == "no transaction hangs\n"
        refused = invoke("transaction", "abort", topic, "-p", "1", "--start-offset", "0", "-y")
        assert refused.code == 1
        assert refused.err.startswith(f"minikafka: the coordinator of '{topic}' knows of this transaction")
    with Consumer(
        bootstrap, topics=[topic], auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        assert {next(consumer).partition, next(consumer).partition} == {0, 1}
