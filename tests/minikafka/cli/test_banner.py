from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from minikafka.cli.banner import banner, seconds_since_process_start
from minikafka.config.broker import BrokerConfig


def test_it_says_how_durable_the_data_are() -> None:
    durable = banner(BrokerConfig(), "c", ["PLAINTEXT://localhost:9092"], 0.25, in_memory=False)
    assert "ready in 0.25 s   cluster c   data minikafka-data (durable: acks=all waits for the disk)" in durable
    never = replace(BrokerConfig(), log_flush_on_acks_all="never")
    assert "minikafka-data (not flushed)" in banner(never, "c", [], 0, in_memory=False)
    assert "in memory" in banner(never, "c", [], 0, in_memory=True)


def test_it_lists_a_few_differences_and_counts_the_others() -> None:
    text = banner(BrokerConfig(), "c", [], 0, in_memory=False)
    last = text.splitlines()[-1]
    assert "differs from Kafka: group.initial.rebalance.delay.ms=0 " in last
    assert " more  (minikafka config show --origin)" in last


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux only")
def test_the_age_of_a_process_grows_with_time() -> None:
    first = seconds_since_process_start()
    assert first > time.process_time() / (os.cpu_count() or 1) / 2
    while seconds_since_process_start() == first:
        pass
    assert seconds_since_process_start() > first
