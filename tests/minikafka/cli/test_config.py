from __future__ import annotations

import json
from pathlib import Path

import pytest

from minikafka.config.broker import BROKER_KEYS
from minikafka.config.sources import load
from tests.minikafka.cli.support import Invoke


def test_all_settings_are_shown_and_can_be_loaded_again(tmp_path: Path, invoke: Invoke) -> None:
    outcome = invoke("config", "show", "-X", "log.segment.bytes=4096", "-X", "num.partitions=3")
    assert outcome.code == 0
    saved = tmp_path / "server.properties"
    saved.write_text(outcome.out)
    config = load(saved, {}, ()).config
    assert (config.log_segment_bytes, config.num_partitions) == (4096, 3)
    assert len(outcome.out.splitlines()) == len(BROKER_KEYS)


def test_the_origin_of_every_value_is_told(tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = tmp_path / "server.properties"
    properties.write_text("\nnum.partitions=2\n")
    monkeypatch.setenv("MINIKAFKA_LOG_SEGMENT_BYTES", "5000")
    lines = invoke("config", "show", "--origin", "--config", str(properties), "-X", "node.id=4").out.splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:]}
    assert lines[0].split() == ["KEY", "VALUE", "ORIGIN"]
    assert rows["num.partitions"] == f"2 {properties}:2"
    assert rows["log.segment.bytes"] == "5000 MINIKAFKA_LOG_SEGMENT_BYTES"
    assert rows["node.id"] == "4 -X node.id"
    assert rows["log.retention.check.interval.ms"] == "1000 default (Kafka's is 300000)"


def test_only_what_was_changed_or_named_is_shown(invoke: Invoke) -> None:
    assert invoke("config", "show", "--changed", "-X", "num.partitions=3").out == "num.partitions=3\n"
    assert invoke("config", "show", "num.partitions", "node.id").out == "num.partitions=1\nnode.id=1\n"
    assert invoke("config", "show", "log.retention.ms").out == "# log.retention.ms=\n"


def test_json_tells_everything_of_a_key(invoke: Invoke) -> None:
    (shown,) = json.loads(invoke("config", "show", "-o", "json", "num.partitions", "-X", "num.partitions=3").out)
    assert shown == {
        "key": "num.partitions",
        "value": "3",
        "origin": "override",
        "origin_detail": "-X num.partitions",
        "default": "1",
        "kafka_default": "1",
        "documentation": BROKER_KEYS["num.partitions"].documentation,
    }


def test_settings_without_effect_are_told_of(invoke: Invoke) -> None:
    outcome = invoke("config", "show", "--changed", "-X", "num.io.threads=8")
    assert outcome.code == 0
    assert "num.io.threads (-X num.io.threads) has no effect" in outcome.err
