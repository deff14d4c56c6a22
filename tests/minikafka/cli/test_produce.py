from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.minikafka.cli.support import Invoke, command_line, environment


@pytest.fixture(autouse=True)
def _broker(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)


def stored(topic: str, invoke: Invoke) -> list[dict[str, Any]]:
    return [json.loads(line) for line in invoke("consume", topic, "-e", "-o", "json").out.splitlines()]


def keys_and_values(topic: str, invoke: Invoke) -> list[tuple[str | None, str]]:
    return [(message["key"], message["value"]) for message in stored(topic, invoke)]


def test_each_line_of_standard_input_is_a_record(topic: str, invoke: Invoke) -> None:
    outcome = invoke("produce", topic, stdin="one\n\nzwölf\n".encode())
    assert outcome.code == 0
    assert outcome.out == ""
    assert outcome.err.startswith("3 records, 0.0 MB in ")
    assert outcome.err.endswith(f" to {topic}\n")
    assert keys_and_values(topic, invoke) == [(None, "one"), (None, ""), (None, "zwölf")]


def test_keys_come_from_the_line_or_are_all_the_same(topic: str, invoke: Invoke) -> None:
    invoke("produce", topic, "--key-sep", "=>", stdin=b"a=>1\nb=>2\n")
    invoke("produce", topic, "-k", "c", stdin=b"3\n")
    assert keys_and_values(topic, invoke) == [("a", "1"), ("b", "2"), ("c", "3")]


def test_a_tab_may_be_written_as_an_escape(topic: str, invoke: Invoke) -> None:
    invoke("produce", topic, "--key-sep", r"\t", stdin=b"a\t1\n")
    assert keys_and_values(topic, invoke) == [("a", "1")]


def test_ctrl_c_sends_what_was_typed_and_says_how_much(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic)
    process = subprocess.Popen(
        command_line("produce", topic), env=environment() | _bootstrap(), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(b"typed\n")
    process.stdin.flush()
    assert invoke("consume", topic, "-n", "1", "-o", "raw").out == "typed\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith(b"1 record, ")


def test_headers_and_partition_are_the_same_for_all(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "3")
    invoke("produce", topic, "-p", "2", "-H", "trace=00-4b", "-H", "empty=", stdin=b"x\ny\n")
    headers = [{"key": "trace", "value": "00-4b"}, {"key": "empty", "value": ""}]
    assert [(message["partition"], message["headers"]) for message in stored(topic, invoke)] == [(2, headers)] * 2


@pytest.mark.parametrize("acks", ["all", "1", "0"])
def test_every_kind_of_acknowledgement_stores(acks: str, topic: str, invoke: Invoke) -> None:
    assert invoke("produce", topic, "--acks", acks, stdin=b"x\n").code == 0
    waited = invoke("consume", topic, "-n", "1", "--timeout", "10", "-o", "raw")
    assert (waited.code, waited.out) == (0, "x\n")


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_codec_comes_back(codec: str, topic: str, invoke: Invoke) -> None:
    lines = [f"line {number} " + "x" * 50 for number in range(100)]
    assert invoke("produce", topic, "--compression", codec, stdin="\n".join(lines).encode()).code == 0
    assert invoke("consume", topic, "-e", "-o", "raw").out.splitlines() == lines


def test_a_csv_file_is_keyed_by_a_column(topic: str, tmp_path: Path, invoke: Invoke) -> None:
    flights = tmp_path / "flights.csv"
    flights.write_text("carrier,flight\n" + "".join(f"{'UA' if n % 2 else 'B6'},{n}\n" for n in range(5000)))
    outcome = invoke("produce", topic, "--file", str(flights), "--key-column", "carrier")
    assert outcome.code == 0
    assert outcome.err.startswith("5,000 records, ")
    messages = stored(topic, invoke)
    assert [int(json.loads(message["value"])["flight"]) for message in messages] == list(range(5000))
    assert all(json.loads(message["value"])["carrier"] == message["key"] for message in messages)


def test_json_lines_are_keyed_by_a_field(topic: str, tmp_path: Path, invoke: Invoke) -> None:
    orders = tmp_path / "orders.jsonl"
    orders.write_text('{"id": 1, "item": "tea"}\n{"id": 2, "item": "cake"}\n')
    assert invoke("produce", topic, "--file", str(orders), "--key-column", "id").code == 0
    assert keys_and_values(topic, invoke) == [("1", '{"id": 1, "item": "tea"}'), ("2", '{"id": 2, "item": "cake"}')]


def test_a_bad_line_ends_it_and_what_came_before_is_stored(topic: str, invoke: Invoke) -> None:
    outcome = invoke("produce", topic, "--format", "jsonl", stdin=b"1\n2\n{\n4\n")
    assert outcome.code == 1
    assert "line 3: not JSON" in outcome.err
    assert "the 2 records before it were sent" in outcome.err
    assert keys_and_values(topic, invoke) == [(None, "1"), (None, "2")]


def test_a_partition_that_is_not_there_is_one_line(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic)
    outcome = invoke("produce", topic, "-p", "7", stdin=b"x\n")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "not 7" in outcome.err


def test_a_record_that_the_topic_refuses_is_counted(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--config", "max.message.bytes=1000")
    outcome = invoke("produce", topic, stdin=b"x" * 2000 + b"\n")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "1 records were not stored" in outcome.err


def test_nothing_to_send_is_fine(topic: str, invoke: Invoke) -> None:
    assert invoke("produce", topic, stdin=b"").err.startswith("0 records")


def test_a_terminal_sees_a_progress_bar_and_a_pipe_does_not(topic: str, tmp_path: Path) -> None:
    lines = tmp_path / "numbers.txt"
    lines.write_text("\n".join(map(str, range(10_000))))
    terminal, end = pty.openpty()
    command = command_line("produce", topic, "--file", str(lines))
    process = subprocess.Popen(command, env=environment() | _bootstrap(), stderr=end, stdout=subprocess.DEVNULL)
    os.close(end)
    shown = b""
    try:
        while piece := _read(terminal):
            shown += piece
    finally:
        os.close(terminal)
        assert process.wait(30) == 0
    assert b"numbers.txt" in shown
    assert b"10,000 records" in shown


def _bootstrap() -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "TERM": "xterm"}


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other end is closed
        return b""
