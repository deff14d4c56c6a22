from __future__ import annotations

import json
from contextlib import suppress
from itertools import islice
from typing import Any

import pytest

from minikafka_client.sync import Consumer, Producer
from tests.minikafka.cli.support import Invoke


@pytest.fixture(autouse=True)
def _broker(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)


def written(invoke: Invoke, topic: str, *configs: str) -> None:
    """A topic of one partition with thirty records of three keys."""
    settings = [part for config in configs for part in ("--config", config)]
    assert invoke("topic", "create", topic, "--partitions", "1", *settings).code == 0
    lines = "".join(f"k{number % 3}:{number}\n" for number in range(30))
    assert invoke("produce", topic, "--key-sep", ":", stdin=lines.encode()).code == 0


def partition(out: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was, and what is, in partition 0."""
    (found,) = json.loads(out)["partitions"]
    return found["before"], found["after"]


def settings_of(invoke: Invoke, topic: str) -> dict[str, str]:
    (described,) = json.loads(invoke("topic", "describe", topic, "-o", "json").out)
    configs: dict[str, str] = described["configs"]
    return configs


@pytest.mark.parametrize(("place", "start"), [("10", 10), ("end", 30), ("-4", 26), ("1000", 30), ("@-1h", 0)])
def test_trimming_moves_the_start(place: str, start: int, topic: str, invoke: Invoke) -> None:
    written(invoke, topic)
    outcome = invoke("topic", "trim", topic, "--before", place, "--now", "-o", "json")
    assert outcome.code == 0
    before, after = partition(outcome.out)
    assert (before["start_offset"], after["start_offset"], after["end_offset"]) == (0, start, 30)
    assert outcome.err == f"{start} offsets deleted\n"


def test_without_now_nothing_is_done(topic: str, invoke: Invoke) -> None:
    written(invoke, topic, "cleanup.policy=compact,delete")
    for arguments in (["trim", topic, "--before", "10"], ["roll", topic], ["expire", topic], ["compact", topic]):
        outcome = invoke("topic", *arguments, "-o", "json")
        assert outcome.code == 0
        assert "--now" in outcome.err
        before, after = partition(outcome.out)
        assert before == after
        assert before["start_offset"] == 0
    assert "27 records would go" in outcome.err


def test_what_is_older_than_is_said_expires_with_the_segment_that_is_written(topic: str, invoke: Invoke) -> None:
    written(invoke, topic, "retention.ms=3600000")
    outcome = invoke("topic", "expire", topic, "--older-than", "1h", "--now", "-o", "json")
    assert partition(outcome.out)[1]["start_offset"] == 0
    outcome = invoke("topic", "expire", topic, "--older-than", "0s", "--now", "-o", "json")
    assert outcome.err.splitlines() == [f"{topic}: retention.ms=0, for now", "30 offsets deleted"]
    _, after = partition(outcome.out)
    assert after == {"start_offset": 30, "end_offset": 30, "size_bytes": 0}
    assert settings_of(invoke, topic) == {"retention.ms": "3600000"}


def test_compacting_leaves_the_last_record_of_each_key_where_it_is(topic: str, invoke: Invoke) -> None:
    written(invoke, topic, "cleanup.policy=compact", "min.cleanable.dirty.ratio=1.0")
    outcome = invoke("topic", "compact", topic, "--now", "-o", "json")
    assert outcome.code == 0
    before, after = partition(outcome.out)
    assert (before["records"], after["records"]) == (30, 3)
    assert (before["start_offset"], before["end_offset"]) == (after["start_offset"], after["end_offset"]) == (0, 30)
    assert after["size_bytes"] < before["size_bytes"]
    assert settings_of(invoke, topic) == {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1.0"}
    consumed = invoke("consume", topic, "-e", "-o", "json").out.splitlines()
    assert [json.loads(line)["offset"] for line in consumed] == [27, 28, 29]
    assert invoke("topic", "compact", topic, "--now").err == "0 records gone\n"


def test_compacting_leaves_nothing_of_aborted_transactions(topic: str, invoke: Invoke, bootstrap: str) -> None:
    written(invoke, topic, "cleanup.policy=compact", "min.cleanable.dirty.ratio=1.0")
    with Producer(bootstrap, transactional_id=topic) as producer:
        for number, is_committed in enumerate((True, False)):
            with suppress(ZeroDivisionError), producer.transaction():
                producer.send(topic, b"in transaction %d" % number, key=b"k0").result()
                1 / is_committed
    outcome = invoke("topic", "compact", topic, "--now", "-o", "json")
    assert outcome.code == 0
    before, after = partition(outcome.out)
    assert (before["records"], after["records"], after["end_offset"]) == (31, 3, 34)
    with Consumer(
        bootstrap, topics=[topic], auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        assert {message.key: message.value for message in islice(consumer, 3)} == {
            b"k0": b"in transaction 0",
            b"k1": b"28",
            b"k2": b"29",
        }


def test_rolling_ends_the_segment_that_is_written(topic: str, invoke: Invoke) -> None:
    """A topic that is dirty enough is compacted as soon as its segments have ended."""
    written(invoke, topic, "cleanup.policy=compact", "min.cleanable.dirty.ratio=1.0", "min.compaction.lag.ms=1000")
    outcome = invoke("topic", "roll", topic, "--now")
    assert outcome.code == 0
    assert outcome.err.splitlines() == [f"{topic}: segment.ms=1, for now", "each partition goes on in a new segment"]
    assert outcome.out.splitlines()[0].split() == ["PARTITION", "START", "END", "BYTES"]
    assert "segment.ms" not in settings_of(invoke, topic)


@pytest.mark.parametrize(
    ("config", "command", "hint"),
    [
        ("cleanup.policy=compact", "expire", "minikafka topic trim"),
        ("cleanup.policy=delete", "compact", "cleanup.policy=compact"),
    ],
)
def test_what_a_topic_does_not_do_is_not_asked_of_it(
    config: str, command: str, hint: str, topic: str, invoke: Invoke
) -> None:
    written(invoke, topic, config)
    outcome = invoke("topic", command, topic, "--now")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert hint in outcome.err


def test_an_age_needs_a_unit(topic: str, invoke: Invoke) -> None:
    outcome = invoke("topic", "expire", topic, "--older-than", "10")
    assert outcome.code == 2
    assert "30s, 10m" in outcome.err


def test_a_topic_that_is_not_there_says_so(topic: str, invoke: Invoke) -> None:
    for arguments in (["trim", topic, "--before", "1"], ["roll", topic], ["expire", topic], ["compact", topic]):
        outcome = invoke("topic", *arguments, "--now")
        assert outcome.code == 1
        assert "minikafka topic list" in outcome.err
