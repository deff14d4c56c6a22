"""What a shell is offered, asked the way that the shell asks: through the environment of a process of its own."""

from __future__ import annotations

import socket
import subprocess

import pytest

from minikafka_client.sync import Producer
from tests.minikafka.cli.support import Invoke, command_line, environment


def offered(*words: str, bootstrap: str | None = None, timeout_s: float = 60) -> list[str]:
    """What bash is offered for the last word."""
    asked = {"_MINIKAFKA_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    at = {} if bootstrap is None else {"KAFKA_BOOTSTRAP_SERVERS": bootstrap}
    done = subprocess.run(
        command_line(), env=environment() | asked | at, capture_output=True, text=True, check=True, timeout=timeout_s
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_and_options_are_offered_without_a_broker() -> None:
    assert offered("minikafka", "co") == ["consume", "config", "completion"]
    assert "--exit-at-end" in offered("minikafka", "consume", "--e")
    assert offered("minikafka", "group", "s") == ["seek"]


def test_topics_are_offered_where_a_topic_is_asked_for(topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "-b", bootstrap)
    begun = topic[:-1]
    for command in (
        ["consume"],
        ["tail"],
        ["produce"],
        ["topic", "describe"],
        ["topic", "describe", "other"],
        ["topic", "alter"],
        ["topic", "delete"],
        ["topic", "which-partition"],
        ["group", "seek", "billing", "--topic"],
        ["bench", "consume"],
        ["transaction", "find-hanging"],
        ["transaction", "abort"],
    ):
        assert offered("minikafka", *command, begun, bootstrap=bootstrap) == [topic], command


def test_groups_are_offered_where_a_group_is_asked_for(topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "-b", bootstrap)
    invoke("group", "seek", topic, "--to", "end", "--topic", topic, "--execute", "-b", bootstrap)
    for command in (
        ["group", "describe"],
        ["group", "watch"],
        ["group", "seek"],
        ["group", "delete"],
        ["consume", "x", "-g"],
    ):
        assert offered("minikafka", *command, topic[:-1], bootstrap=bootstrap) == [topic], command


def test_transactional_ids_are_offered_where_one_is_asked_for(topic: str, bootstrap: str, invoke: Invoke) -> None:
    with Producer(bootstrap, transactional_id=topic):
        assert offered("minikafka", "transaction", "describe", topic[:-1], bootstrap=bootstrap) == [topic]


def test_the_broker_that_was_typed_is_asked(topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "-b", bootstrap)
    assert offered("minikafka", "-b", bootstrap, "tail", topic[:-1]) == [topic]
    assert offered("minikafka", "tail", "-b", bootstrap, topic[:-1]) == [topic]


def test_internal_topics_are_for_those_who_know_them(topic: str, bootstrap: str, invoke: Invoke) -> None:
    invoke("topic", "create", topic, "-b", bootstrap)
    invoke("group", "seek", topic, "--to", "end", "--topic", topic, "--execute", "-b", bootstrap)
    assert "__consumer_offsets" not in offered("minikafka", "tail", "", bootstrap=bootstrap)
    assert "__consumer_offsets" in offered("minikafka", "tail", "__", bootstrap=bootstrap)


def test_a_broker_that_does_not_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a client would wait ten seconds for it
        bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
        assert offered("minikafka", "tail", "", bootstrap=bootstrap, timeout_s=9) == []


@pytest.mark.parametrize("words", [["tail"], ["group", "describe"]], ids=["topic", "group"])
def test_without_a_broker_nothing_is_offered_and_nothing_said(words: list[str], nobody: str) -> None:
    assert offered("minikafka", *words, "", bootstrap=nobody) == []
    assert offered("minikafka", *words, "", bootstrap="no:address:at:all") == []
