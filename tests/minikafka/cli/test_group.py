from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from minikafka_client.sync import Admin, Consumer
from tests.minikafka.cli.support import Invoke, command_line, environment


@pytest.fixture(autouse=True)
def _broker(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)


@pytest.fixture
def six(topic: str, invoke: Invoke) -> str:
    """A topic of two partitions with three records each; a group of its name has read it all."""
    invoke("topic", "create", topic, "--partitions", "2")
    invoke("produce", topic, stdin=b"1\n2\n3\n4\n5\n6\n")
    invoke("consume", topic, "-g", topic, "-e")
    return topic


@contextmanager
def member(bootstrap: str, topic: str, **options: Any) -> Iterator[Consumer]:
    """A consumer in the topic's group that has its partitions."""
    with Consumer(bootstrap, topics=[topic], group_id=topic, client_id="till", **options) as consumer:
        while not consumer.assignment:
            consumer.poll(timeout_ms=10)
        yield consumer


def described(group: str, invoke: Invoke) -> dict[str, Any]:
    (found,) = json.loads(invoke("group", "describe", group, "-o", "json").out)
    return dict(found)


def committed(group: str, invoke: Invoke) -> list[int | None]:
    return [partition["committed_offset"] for partition in described(group, invoke)["partitions"]]


def test_groups_are_listed_by_state_and_type(six: str, bootstrap: str, invoke: Invoke) -> None:
    assert [six, "Empty", "Classic"] in [line.split() for line in invoke("group", "list").out.splitlines()]
    with member(bootstrap, six, group_protocol="consumer"):
        listed = json.loads(invoke("group", "list", "--state", "stable", "--type", "consumer", "-o", "json").out)
        assert {"group": six, "protocol_type": "consumer", "state": "Stable", "type": "Consumer"} in listed
        assert six not in invoke("group", "list", "--state", "empty").out
    assert invoke("group", "list", "--state", "dead").err.startswith("no groups; 'minikafka consume TOPIC -g GROUP'")


def test_a_description_shows_who_reads_what_and_how_far(six: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("produce", six, "-p", "1", stdin=b"7\n")
    with member(bootstrap, six, group_instance_id="till-1"):
        text = invoke("group", "describe", six).out.splitlines()
        assert text[0].startswith(f"GROUP {six}  Stable  1 member  classic protocol, assignor range")
        assert text[0].endswith("lag 1")
        assert text[1].split() == ["PARTITION", "MEMBER", "COMMITTED", "END", "LAG"]
        assert [line.split() for line in text[2:4]] == [
            [f"{six}[0]", "till-1", "3", "3", "0"],
            [f"{six}[1]", "till-1", "3", "4", "1"],
        ]
        group = described(six, invoke)
    assert (group["state"], group["lag"], group["assignor"]) == ("Stable", 1, "range")
    (only,) = group["members"]
    assert (only["client_id"], only["group_instance_id"], only["host"]) == ("till", "till-1", "127.0.0.1")
    assert only["assignment"] == [{"topic": six, "partition": number} for number in (0, 1)]
    assert {partition["member_id"] for partition in group["partitions"]} == {only["member_id"]}


def test_a_group_of_the_consumer_protocol_shows_its_epoch(six: str, bootstrap: str, invoke: Invoke) -> None:
    with member(bootstrap, six, group_protocol="consumer"):
        group = described(six, invoke)
        title = invoke("group", "describe", six).out.splitlines()[0]
    assert f"consumer protocol, assignor uniform  epoch {group['epoch']}  coordinator" in title
    assert [entry["epoch"] for entry in group["members"]] == [group["epoch"]]


def test_a_group_whose_topic_is_gone_can_still_be_described(six: str, invoke: Invoke, bootstrap: str) -> None:
    kept = f"{six}-kept"
    invoke("topic", "create", kept)
    assert invoke("group", "seek", six, "--to", "end", "--topic", kept, "--execute").code == 0
    invoke("topic", "delete", six, "-y")
    shown = {line.split()[0] for line in invoke("group", "describe", six).out.splitlines() if line}
    assert f"{kept}[0]" in shown


@pytest.mark.parametrize("arguments", [["describe"], ["watch"], ["delete", "-y"]], ids=["describe", "watch", "delete"])
def test_a_group_that_is_not_there_is_one_line(arguments: list[str], topic: str, invoke: Invoke) -> None:
    outcome = invoke("group", *arguments, topic)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert "does not exist; see 'minikafka group list'" in outcome.err


def test_watching_prints_the_table_again_until_ctrl_c(six: str, invoke: Invoke) -> None:
    process = _start("group", "watch", six, "--interval", "0.05")
    assert process.stdout is not None
    titles: list[bytes] = []
    while not titles or b"lag 1" not in titles[-1]:
        line = process.stdout.readline()
        if line.startswith(b"GROUP"):
            titles.append(line)
            if len(titles) == 3:
                invoke("produce", six, stdin=b"7\n")
    assert b"lag 0" in titles[0]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")


def test_on_a_terminal_the_table_stays_in_its_place(six: str) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command_line("group", "watch", six, "--interval", "0.05"), env=_environ() | {"TERM": "xterm"}, stdout=terminal
    )
    os.close(terminal)
    shown = b""
    while shown.count(b"GROUP") < 3:
        shown += os.read(controller, 4096)
    assert b"\x1b[1A" in shown  # the cursor goes up again
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(controller)


def test_seeking_shows_what_would_change_and_changes_it_when_it_is_told_so(six: str, invoke: Invoke) -> None:
    outcome = invoke("group", "seek", six, "--to", "beginning")
    assert (outcome.code, outcome.err) == (0, "2 partitions would change; --execute does it\n")
    assert [line.split() for line in outcome.out.splitlines()] == [
        ["PARTITION", "COMMITTED", "NEW", "CHANGE"],
        [f"{six}[0]", "3", "0", "-3"],
        [f"{six}[1]", "3", "0", "-3"],
    ]
    assert committed(six, invoke) == [3, 3]
    assert invoke("group", "seek", six, "--to", "beginning", "--execute").err == "2 partitions changed\n"
    assert committed(six, invoke) == [0, 0]
    assert sorted(invoke("consume", six, "-g", six, "-e", "-o", "raw").out.split()) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--to", "end"], [3, 3]),
        (["--to", "1"], [1, 1]),
        (["--to", "-1"], [2, 2]),
        (["--to", "99"], [3, 3]),
        (["--to", "@0"], [0, 0]),
        (["--to", "@2999-01-01"], [3, 3]),
        (["--by", "-2"], [1, 1]),
        (["--by", "5"], [3, 3]),
        (["--to", "0", "-p", "1"], [3, 0]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_a_group_goes_where_it_is_told(arguments: list[str], expected: list[int], six: str, invoke: Invoke) -> None:
    dry = json.loads(invoke("group", "seek", six, *arguments, "-o", "json").out)
    assert not dry["executed"]
    done = json.loads(invoke("group", "seek", six, *arguments, "--execute", "-o", "json").out)
    assert done == dry | {"executed": True}
    assert committed(six, invoke) == expected


def test_a_group_that_is_new_is_told_where_to_begin(six: str, invoke: Invoke) -> None:
    group = f"{six}-new"
    unknown = invoke("group", "seek", group, "--to", "end")
    assert unknown.code == 1
    assert "has committed nothing there; name topics with --topic" in unknown.err
    assert invoke("group", "seek", group, "--by", "1", "--topic", six).code == 1
    assert invoke("group", "seek", group, "--to", "2", "--topic", six, "--execute").code == 0
    assert committed(group, invoke) == [2, 2]


def test_a_group_in_use_is_not_moved_nor_deleted(six: str, bootstrap: str, invoke: Invoke) -> None:
    with member(bootstrap, six, group_instance_id="till-1"):
        moved = invoke("group", "seek", six, "--to", "beginning", "--execute")
        assert (moved.code, moved.err.count("\n")) == (1, 1)
        assert "has 1 member (till-1); stop them, and try again" in moved.err
        deleted = invoke("group", "delete", six, "-y")
        assert (deleted.code, deleted.err.count("\n")) == (1, 1)
        assert "it has members; stop its members first" in deleted.err
    assert committed(six, invoke) == [3, 3]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--to", "0", "--topic", "nosuch"], "'nosuch': it does not exist"),
        (["--to", "0", "-p", "7"], "has no partition 7; see 'minikafka topic describe"),
    ],
    ids=["topic", "partition"],
)
def test_there_is_no_seeking_where_there_is_nothing(arguments: list[str], part: str, six: str, invoke: Invoke) -> None:
    outcome = invoke("group", "seek", six, *arguments, "--execute")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert part in outcome.err


def test_deleting_asks_first(six: str, bootstrap: str, invoke: Invoke) -> None:
    assert "nothing was deleted" in invoke("group", "delete", six, stdin=b"n\n").err
    assert "-y does not ask" in invoke("group", "delete", six).err
    assert committed(six, invoke) == [3, 3]
    assert invoke("group", "delete", six, stdin=b"y\n").out == f"deleted group {six}\n"
    with Admin(bootstrap) as admin:
        assert six not in [group.group_id for group in admin.list_groups()]


def _environ() -> dict[str, str]:
    return environment() | {"KAFKA_BOOTSTRAP_SERVERS": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command_line(*arguments), env=_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
