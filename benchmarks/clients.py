"""How fast Python clients are: all of them send to, and read from, one broker in turn, in one interleaved run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

from benchmarks.client_load import CONSUMERS, PRODUCERS, TOPIC_PREFIX, ClientSpec
from benchmarks.harness import PARTITIONS, Settings, rotated, running
from benchmarks.report import AtLeastTimes, AtMostTimes, Goal, Row
from benchmarks.targets import HOST, Minikafka, Target
from benchmarks.wire import WrongAnswer, create_topic
from minikafka_client.producer import intake

SDK_IS_COMPILED = not intake.__file__.endswith(".py")

_RECORDS = {100: 1_000_000, 1_000: 300_000}
"""By the bytes of one."""
_SLOW = {"produce": frozenset({"aiokafka", "kafka-python"}), "consume": frozenset({"kafka-python"})}
"""By work: these get a tenth of the records, so that they need no minutes."""
_READ = "confluent-kafka"
"""What it produced is what all of them consume, so that none reads batches of its own making but itself."""

_PLAIN: Goal = AtMostTimes(1 / 0.7)
_PRODUCER_GOALS: dict[str, Goal] = {
    "minikafka_client": _PLAIN,
    "confluent-kafka": AtLeastTimes(2),
    "aiokafka": AtLeastTimes(1),
}
_CONSUMER_GOALS: dict[str, Goal] = {
    "minikafka_client": _PLAIN,
    "confluent-kafka": AtLeastTimes(3),
    "aiokafka": AtLeastTimes(1),
}


def measure_clients(settings: Settings) -> list[Row]:
    """Every run has a broker of its own, to which all clients go one after another."""
    rows = []
    for record_bytes in _RECORDS:
        produced = Row(f"clients: produce {record_bytes:,} bytes", "/s", goals=_PRODUCER_GOALS)
        consumed = Row(f"clients: consume {record_bytes:,} bytes", "/s", goals=_CONSUMER_GOALS)
        produced.samples = {name: [] for name in PRODUCERS}
        consumed.samples = {name: [] for name in CONSUMERS}
        for run in range(settings.runs):
            with running(Minikafka(settings.directory / "clients")) as broker:
                for name in rotated(list(PRODUCERS), run):
                    create_topic(HOST, broker.port, _topic_of(name), PARTITIONS)
                    produced.add(name, _rate("produce", name, _topic_of(name), broker, record_bytes))
                for name in rotated(list(CONSUMERS), run):
                    consumed.add(name, _rate("consume", name, _topic_of(_READ), broker, record_bytes))
            settings.tell(f"clients, {record_bytes:,} bytes, run {run + 1}: {_last(produced)}; {_last(consumed)}")
        rows += [produced, consumed]
    return rows


def _rate(work: str, client: str, topic: str, broker: Target, record_bytes: int) -> float:
    """Records per second."""
    records = _RECORDS[record_bytes] // (10 if client in _SLOW[work] else 1)
    spec = ClientSpec(client, work, f"{HOST}:{broker.port}", topic, PARTITIONS, records, record_bytes)
    command = [sys.executable, "-m", "benchmarks.client_load"]
    done = subprocess.run(command, input=json.dumps(asdict(spec)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(f"{work} with {client} ended with {done.stderr.strip().splitlines()[-1:]}")
    return records / float(done.stdout)


def _topic_of(client: str) -> str:
    return f"{TOPIC_PREFIX}-{client.replace(' ', '-')}"


def _last(row: Row) -> str:
    return " | ".join(f"{figures[-1]:,.0f}" for figures in row.samples.values())
