from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest

from minikafka.cli.bench import Measured
from tests.minikafka.cli.support import Invoke, command_line, environment


@pytest.fixture(autouse=True)
def _broker(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)


def test_sending_says_how_many_how_fast_and_how_long_each_waited(topic: str, invoke: Invoke) -> None:
    outcome = invoke("bench", "produce", topic, "-n", "500", "--size", "200", "--compression", "gzip", "-o", "json")
    assert (outcome.code, outcome.err) == (0, "")
    measured = json.loads(outcome.out)
    assert (measured["records"], measured["bytes"]) == (500, 100_000)
    assert measured["records_per_s"] == pytest.approx(500 / measured["seconds"], rel=0.01)
    waits = list(measured["latency_ms"].values())
    assert waits == sorted(waits)
    assert waits[0] > 0
    (described,) = json.loads(invoke("topic", "describe", topic, "-o", "json").out)
    assert [partition["end_offset"] for partition in described["partition_list"]] == [500]


def test_reading_reads_what_is_there_or_so_many(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "2")
    invoke("bench", "produce", topic, "-n", "300", "--size", "10")
    measured = json.loads(invoke("bench", "consume", topic, "-o", "json").out)
    assert (measured["records"], measured["bytes"]) == (300, 3_000)
    assert json.loads(invoke("bench", "consume", topic, "-n", "20", "-o", "json").out)["records"] == 20
    text = invoke("bench", "consume", topic).out.splitlines()
    assert text[0].startswith("300 records, 0.0 MB in ")
    assert text[1].startswith("poll in ms: p50 ")
    few = invoke("bench", "consume", topic, "-n", "301")
    assert few.code == 1
    assert few.err == f"minikafka: {topic} has only 300 records; 'minikafka bench produce {topic}' adds some\n"


def test_a_topic_of_its_own_is_gone_afterwards(invoke: Invoke) -> None:
    before = invoke("topic", "list").out
    assert invoke("bench", "produce", "-n", "100", "--partitions", "3").out.startswith("100 records, ")
    assert invoke("bench", "consume", "-n", "100").out.startswith("100 records, ")
    assert invoke("bench", "produce", "-n", "1", "--size", "2000000").code == 1  # too large a record
    assert invoke("topic", "list").out == before


def test_so_many_a_second_are_not_exceeded(topic: str, invoke: Invoke) -> None:
    measured = json.loads(invoke("bench", "produce", topic, "-n", "21", "--rate", "200", "-o", "json").out)
    assert measured["seconds"] >= 0.1


def test_a_topic_that_is_not_there_cannot_be_read(topic: str, invoke: Invoke) -> None:
    outcome = invoke("bench", "consume", topic)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "does not exist" in outcome.err


def test_on_a_terminal_a_bar_shows_how_far_it_is(topic: str) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command_line("bench", "produce", topic, "-n", "100", "-o", "json"),
        env=environment() | {"KAFKA_BOOTSTRAP_SERVERS": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    shown = os.read(controller, 4096)
    out, _ = process.communicate(timeout=60)
    assert json.loads(out)["records"] == 100
    assert b"\x1b[" in shown
    os.close(controller)


def test_percentiles_are_of_the_sample() -> None:
    measured = Measured(1_000, 50_000, 2.0, "latency", [float(number) for number in range(1, 102)])
    assert measured.percentiles() == {"p50": 51, "p90": 91, "p99": 100, "p99.9": 101, "max": 101}
    assert str(measured).splitlines()[0] == "1,000 records, 0.1 MB in 2.00 s: 500 records/s, 0.0 MB/s"
    assert Measured(1, 1, 1.0, "poll", [3.0]).as_json()["poll_ms"] == dict.fromkeys(
        ("p50", "p90", "p99", "p99.9", "max"), 3.0
    )
