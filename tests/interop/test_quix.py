"""Quix Streams: applications whose state is in topics."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from minikafka_client import Admin, Message, NewTopic, Producer
from tests.interop.application import Application, gather, wait_for_members
from tests.interop.process import BrokerProcess
from tests.support.broker import quiet_port

pytestmark = pytest.mark.slow

WORDS = ("tea", "coffee", "cake", "milk", "juice")
MINUTE_MS = 60_000
NOON_MS = 1_795_348_800_000


def some_lines(seed: int) -> list[str]:
    choose = random.Random(seed)
    return [" ".join(choose.choices(WORDS, k=choose.randint(0, 6))) for _ in range(50)]


def send_lines(broker: BrokerProcess, lines: list[str]) -> int:
    """Send lines and return how many words they have."""
    with Producer(broker.bootstrap) as producer:
        for line in lines:
            producer.send("lines", line)
    return sum(len(line.split()) for line in lines)


def make_topics(broker: BrokerProcess, **partitions: int) -> None:
    with Admin(broker.bootstrap) as admin:
        admin.create_topics([NewTopic(name, count) for name, count in partitions.items()])


def assert_counted_one_by_one(messages: list[Message], lines: list[str]) -> None:
    """Every word was counted from one to as often as it is there, without a gap or a repetition."""
    counts: defaultdict[str, list[int]] = defaultdict(list)
    for message in messages:
        assert message.key is not None
        assert message.value is not None
        counts[message.key.decode()].append(json.loads(message.value))
    totals = Counter(word for line in lines for word in line.split())
    assert counts == {word: list(range(1, total + 1)) for word, total in totals.items()}


def test_state_outlives_the_application_the_broker_and_the_state_directory(tmp_path: Path) -> None:
    first, second = some_lines(1), some_lines(2)
    with BrokerProcess(tmp_path) as broker:
        make_topics(broker, lines=2, counts=1)
        words = send_lines(broker, first)
        with Application("word_count", broker.bootstrap, str(tmp_path / "state"), log=tmp_path / "app") as application:
            gather(broker.bootstrap, "counts", words, [application])
        broker.kill_and_restart()
        words += send_lines(broker, second)
        with Application("word_count", broker.bootstrap, str(tmp_path / "new"), log=tmp_path / "app") as application:
            messages = gather(broker.bootstrap, "counts", words, [application])
        assert_counted_one_by_one(messages, first + second)
        assert broker.complaints() == []


def test_exactly_once_is_exactly_once_whoever_is_killed(tmp_path: Path) -> None:
    lines = [line for seed in range(4) for line in some_lines(seed)]
    parts = [lines[first : first + 50] for first in range(0, len(lines), 50)]
    with BrokerProcess(tmp_path, "group.min.session.timeout.ms=2000", port=quiet_port(random.Random(7))) as broker:
        make_topics(broker, lines=2, counts=1)
        arguments = (broker.bootstrap, str(tmp_path / "state"), "exactly-once")
        words = send_lines(broker, parts[0])
        with Application("word_count", *arguments, log=tmp_path / "app1") as application:
            gather(broker.bootstrap, "counts", words // 2, [application])
            application.kill()
        words += send_lines(broker, parts[1])
        with Application("word_count", *arguments, log=tmp_path / "app2") as application:
            gather(broker.bootstrap, "counts", words * 2 // 3, [application])
            broker.kill_and_restart()
            words += send_lines(broker, parts[2])
            gather(broker.bootstrap, "counts", words * 3 // 4, [application])
            broker.kill_and_restart()
            application.kill()
        words += send_lines(broker, parts[3])
        with Application("word_count", *arguments, log=tmp_path / "app3") as application:
            messages = gather(broker.bootstrap, "counts", words, [application], "read_committed")
        assert_counted_one_by_one(messages, lines)
        assert broker.complaints() == []


def test_instances_share_the_work_and_take_over_each_others_state(tmp_path: Path) -> None:
    first, second, third = some_lines(1), some_lines(2), some_lines(3)
    with BrokerProcess(tmp_path) as broker:
        make_topics(broker, lines=2, counts=1)
        words = send_lines(broker, first)
        with Application("word_count", broker.bootstrap, str(tmp_path / "one"), log=tmp_path / "app1") as one:
            gather(broker.bootstrap, "counts", words, [one])
            with Application("word_count", broker.bootstrap, str(tmp_path / "two"), log=tmp_path / "app2") as two:
                wait_for_members(broker.bootstrap, "word-count", 2)
                words += send_lines(broker, second)
                gather(broker.bootstrap, "counts", words, [one, two])
            wait_for_members(broker.bootstrap, "word-count", 1)
            words += send_lines(broker, third)
            messages = gather(broker.bootstrap, "counts", words, [one])
        assert_counted_one_by_one(messages, first + second + third)
        assert broker.complaints() == []


def test_windows_close_across_a_restart(tmp_path: Path) -> None:
    tables = ("window", "door", "window", "garden", "window")
    with BrokerProcess(tmp_path, "log.retention.ms=-1") as broker:
        make_topics(broker, orders=2, minutes=1)

        def order_at(*minutes: int) -> None:
            with Producer(broker.bootstrap) as producer:
                for minute in minutes:
                    for second, table in enumerate(tables):
                        producer.send("orders", "tea", table, timestamp_ms=NOON_MS + minute * MINUTE_MS + second)

        order_at(0, 1)  # the last of these is still open
        with Application("orders_per_minute", broker.bootstrap, str(tmp_path / "state"), log=tmp_path / "app") as app:
            gather(broker.bootstrap, "minutes", 3, [app])
        broker.kill_and_restart()
        order_at(1, 2)
        with Application("orders_per_minute", broker.bootstrap, str(tmp_path / "new"), log=tmp_path / "app") as app:
            messages = gather(broker.bootstrap, "minutes", 6, [app])
        counted = {
            (message.key, json.loads(message.value or b"")["start"]): json.loads(message.value or b"")["value"]
            for message in messages
        }
        counts = {b"window": 3, b"door": 1, b"garden": 1}
        assert counted == {
            (table, NOON_MS + minute * MINUTE_MS): count * times
            for minute, times in ((0, 1), (1, 2))
            for table, count in counts.items()
        }
        assert broker.complaints() == []
