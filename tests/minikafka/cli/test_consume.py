from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.minikafka.cli.support import Invoke, command_line, environment


@pytest.fixture(autouse=True)
def _broker(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)


@pytest.fixture
def ten(topic: str, invoke: Invoke) -> str:
    """A topic of one partition with the records 0 to 9."""
    invoke("produce", topic, stdin="".join(f"{number}\n" for number in range(10)).encode())
    return topic


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ([], "0123456789"),
        (["--from", "7"], "789"),
        (["--from", "-2"], "89"),
        (["--from", "-99"], "0123456789"),
        (["--from", "end"], ""),
        (["--from", "99"], ""),
        (["--from", "@0"], "0123456789"),
        (["--from", "@-1h"], "0123456789"),
        (["--from", "@2999-01-01"], ""),
        (["-n", "3"], "012"),
        (["-n", "0"], ""),
        (["--from", "4", "-n", "2"], "45"),
    ],
)
def test_it_begins_where_it_is_told(arguments: list[str], values: str, ten: str, invoke: Invoke) -> None:
    outcome = invoke("consume", ten, "-e", "-o", "raw", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.split() == list(values)


@pytest.mark.parametrize(
    ("until", "values"), [("end", "0123456789"), ("3", "012"), ("-4", "012345"), ("beginning", ""), ("@0", "")]
)
def test_it_stops_where_it_is_told(until: str, values: str, ten: str, invoke: Invoke) -> None:
    assert invoke("consume", ten, "--until", until, "-o", "raw").out.split() == list(values)


def test_a_time_between_two_records_begins_at_the_second(topic: str, invoke: Invoke) -> None:
    invoke("produce", topic, stdin=b"early\n")
    after_ms = _timestamp_of_last(topic, invoke) + 1
    while time.time_ns() // 1_000_000 <= after_ms:
        pass
    invoke("produce", topic, stdin=b"late\n")
    assert invoke("consume", topic, "-e", "-o", "raw", "--from", f"@{after_ms}").out == "late\n"
    assert invoke("consume", topic, "-o", "raw", "--until", f"@{after_ms}").out == "early\n"


def test_all_partitions_are_read_or_those_that_are_named(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "3")
    for partition in range(3):
        invoke("produce", topic, "-p", str(partition), stdin=f"{partition}\n".encode() * 3)
    messages = [json.loads(line) for line in invoke("consume", topic, "-e", "-o", "json").out.splitlines()]
    assert sorted((message["partition"], message["offset"]) for message in messages) == [
        (partition, offset) for partition in range(3) for offset in range(3)
    ]
    assert sorted(invoke("consume", topic, "-e", "-o", "raw", "-p", "0", "-p", "2").out.split()) == list("000222")
    outcome = invoke("consume", topic, "-p", "3")
    assert outcome.code == 1
    assert "has no partition 3; see 'minikafka topic describe" in outcome.err


def test_more_than_one_poll_arrives_whole(topic: str, invoke: Invoke) -> None:
    lines = [str(number) for number in range(25_000)]
    invoke("produce", topic, stdin="\n".join(lines).encode())
    assert invoke("consume", topic, "-e", "-o", "raw").out.split() == lines


def test_a_topic_that_is_not_there_is_one_line(topic: str, invoke: Invoke) -> None:
    outcome = invoke("consume", topic)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "does not exist; see 'minikafka topic list'" in outcome.err


def test_silence_for_too_long_is_exit_code_4(ten: str, invoke: Invoke) -> None:
    outcome = invoke("consume", ten, "--from", "end", "--timeout", "0.3")
    assert outcome.code == 4
    assert outcome.err == "minikafka: nothing came for 0.3 s\n"


def test_it_follows_until_ctrl_c_and_says_what_it_saw(ten: str, invoke: Invoke) -> None:
    process = _start("consume", ten, "-o", "raw")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(10)] == [b"%d\n" % number for number in range(10)]
    invoke("produce", ten, stdin=b"more\n")
    assert process.stdout.readline() == b"more\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"11 messages in " in err
    assert b" s, 1 partition, no group (nothing committed)\n" in err


def test_tail_shows_what_arrives_from_now_on(ten: str, invoke: Invoke) -> None:
    process = _start("tail", ten, "-n", "1", "-o", "raw")
    # The end is looked up at some time after the start: what arrives before counts as old.
    while process.poll() is None:
        invoke("produce", ten, stdin=b"new\n")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, b"new\n", b"")


def test_a_group_goes_on_where_it_stopped(ten: str, invoke: Invoke) -> None:
    assert invoke("consume", ten, "-g", ten, "-n", "4", "-o", "raw").out.split() == list("0123")
    assert invoke("consume", ten, "-g", ten, "-e", "-o", "raw").out.split() == list("456789")
    assert invoke("consume", ten, "-g", ten, "-e", "-o", "raw").out == ""
    assert invoke("consume", ten, "-g", f"{ten}-other", "-n", "1", "-o", "raw").out == "0\n"
    silence = invoke("consume", ten, "-g", ten, "--timeout", "0.3")
    assert (silence.code, silence.err) == (4, "minikafka: nothing came for 0.3 s\n")


def test_a_group_that_ends_by_ctrl_c_has_committed_what_it_printed(ten: str, invoke: Invoke) -> None:
    process = _start("consume", ten, "-g", ten, "-o", "raw")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(10)] == [b"%d\n" % number for number in range(10)]
    invoke("produce", ten, stdin=b"more\n")
    assert process.stdout.readline() == b"more\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"11 messages in " in err
    assert f", 1 partition, group {ten} (committed)\n".encode() in err


def test_what_nobody_saw_is_not_committed(ten: str, invoke: Invoke) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = _start("consume", ten, "-g", ten, "-o", "raw", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert invoke("consume", ten, "-g", ten, "-e", "-o", "raw").out.split() == list("0123456789")


def test_members_of_a_group_share_its_partitions(topic: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "--partitions", "2")
    members = [_start("consume", topic, "-g", topic, "-o", "json", "-n", "1") for _ in range(2)]
    while len(json.loads(_members(topic, invoke))) < 2 and all(member.poll() is None for member in members):
        pass
    for partition in ("0", "1"):
        invoke("produce", topic, "-p", partition, stdin=b"x\n")
    read = [json.loads(member.communicate(timeout=60)[0]) for member in members]
    assert sorted(message["partition"] for message in read) == [0, 1]


def test_a_group_reads_no_topic_that_is_not_there(topic: str, invoke: Invoke) -> None:
    outcome = invoke("consume", topic, "-g", topic)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "does not exist; see 'minikafka topic list'" in outcome.err


def test_a_reader_that_has_seen_enough_ends_it_quietly(topic: str, invoke: Invoke) -> None:
    invoke("produce", topic, stdin=b"a line\n" * 50_000)
    process = _start("consume", topic, "-o", "raw")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), err) == (0, b"")


def test_no_color_is_put_on_a_pipe(ten: str, invoke: Invoke) -> None:
    text = invoke("consume", ten, "-e").out
    assert "\x1b" not in text
    assert f"  {ten}[0] @ 9  9\n" in text


def _start(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    variables = {"KAFKA_BOOTSTRAP_SERVERS": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    return subprocess.Popen(
        command_line(*arguments), env=environment() | variables, stdout=stdout, stderr=subprocess.PIPE
    )


def _members(group: str, invoke: Invoke) -> str:
    """The members that have their partitions, as JSON."""
    described = invoke("group", "describe", group, "-o", "json")
    members = json.loads(described.out)[0]["members"] if described.code == 0 else []
    return json.dumps([member for member in members if member["assignment"]])


def _timestamp_of_last(topic: str, invoke: Invoke) -> int:
    lines = invoke("consume", topic, "-e", "-o", "json").out.splitlines()
    timestamp_ms: int = json.loads(lines[-1])["timestamp_ms"]
    return timestamp_ms
