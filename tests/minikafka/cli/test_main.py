from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import suppress

import click
import pytest

from minikafka import __version__
from minikafka.cli import main
from minikafka.cli.lazy import LazyCommand
from tests.minikafka.cli.support import Invoke


def test_without_a_command_the_help_lists_all_of_them(invoke: Invoke) -> None:
    outcome = invoke()
    assert outcome.code == 0
    for name in main._COMMANDS:
        assert f"\n  {name} " in outcome.out


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").out == f"minikafka {__version__}\n"


@pytest.mark.parametrize("name", main._COMMANDS)
def test_every_command_loads_and_has_help(name: str, invoke: Invoke) -> None:
    command: LazyCommand = main._COMMANDS[name]
    assert isinstance(command.load(), click.Command)
    outcome = invoke(name, "--help")
    assert outcome.code == 0
    assert f"minikafka {name}" in outcome.out
    assert invoke(name, "-h").out == outcome.out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["serve", "--listen", "localhost"], "--listen"),
        (["serve", "--listen", "::1:9092"], "--listen"),
        (["serve", "--listen", "localhost:70000"], "--listen"),
        (["serve", "--memory", "--data-dir", "x"], "exclude each other"),
        (["serve", "-X", "log.segment.byte=1"], "did you mean log.segment.bytes?"),
        (["serve", "-X", "log.segment.bytes=big"], "-X log.segment.bytes"),
        (["serve", "-X", "log.segment.bytes"], "key=value"),
        (["serve", "--config", "/nonexistent.properties"], "/nonexistent.properties"),
        (["topic", "create"], "'NAME'"),
        (["topic", "create", "x", "--partitions", "0"], "--partitions"),
        (["topic", "create", "x", "--config", "retention.ms"], "KEY=VALUE"),
        (["topic", "list", "-b", "host:port"], "HOST:PORT"),
        (["topic", "list", "-o", "xml"], "xml"),
        (["topic", "describe"], "NAME"),
        (["topic", "alter", "x"], "Nothing to alter"),
        (["topic", "delete"], "NAME"),
        (["topic", "purge"], "No such command 'purge'"),
        (["produce"], "'TOPIC'"),
        (["produce", "x", "--file", "/nonexistent"], "/nonexistent"),
        (["produce", "x", "-k", "a", "--key-sep", ":"], "one of"),
        (["produce", "x", "--key-sep", ""], "empty"),
        (["produce", "x", "--key-column", "a"], "csv and jsonl"),
        (["produce", "x", "--format", "csv", "--key-sep", ","], "for lines"),
        (["produce", "x", "-H", "noequals"], "KEY=VALUE"),
        (["produce", "x", "--acks", "2"], "2"),
        (["produce", "x", "--compression", "rar"], "rar"),
        (["consume"], "'TOPIC'"),
        (["consume", "x", "--from", "yesterday"], "yesterday"),
        (["consume", "x", "--from", "@yesterday"], "yesterday"),
        (["consume", "x", "--until", "end", "-e"], "--until or --exit-at-end"),
        (["consume", "x", "-n", "-1"], "-1"),
        (["consume", "x", "-o", "yaml"], "yaml"),
        (["consume", "x", "-g", "g", "--from", "end"], "'minikafka group seek g --to PLACE' moves a group"),
        (["consume", "x", "-g", "g", "-p", "0"], "-g and --partition exclude each other"),
        (["consume", "x", "-g", "g", "--until", "end"], "give --exit-at-end or --count"),
        (["tail"], "'TOPIC'"),
        (["topic", "which-partition", "x"], "'KEY'"),
        (["group", "describe"], "GROUP"),
        (["group", "list", "--state", "asleep"], "asleep"),
        (["group", "seek", "x"], "--to or --by"),
        (["group", "seek", "x", "--to", "end", "--by", "1"], "--to or --by"),
        (["group", "seek", "x", "--to", "yesterday"], "yesterday"),
        (["group", "watch", "x", "--interval", "0"], "--interval"),
        (["group", "delete"], "GROUP"),
        (["bench", "produce", "-n", "0"], "-n"),
        (["bench", "produce", "--rate", "0"], "--rate"),
        (["bench", "read"], "No such command 'read'"),
        (["completion", "tcsh"], "tcsh"),
        (["health", "-b", "nowhere"], "HOST:PORT"),
        (["log", "dump"], "FILE|DIR"),
        (["log", "verify", "/nonexistent"], "/nonexistent"),
        (["config", "show", "log.segmnt.bytes"], "did you mean log.segment.bytes?"),
        (["config", "show", "--config", "/nonexistent.properties"], "/nonexistent.properties"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], part: str, invoke: Invoke) -> None:
    outcome = invoke(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("minikafka: ")
    assert outcome.err.count("\n") == 1
    assert part in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["topic", "list"],
        ["topic", "create", "x"],
        ["topic", "describe", "x"],
        ["topic", "alter", "x", "--partitions", "2"],
        ["topic", "delete", "x", "--yes"],
        ["produce", "x"],
        ["consume", "x"],
        ["consume", "x", "-g", "g"],
        ["tail", "x"],
        ["topic", "which-partition", "x", "key"],
        ["group", "list"],
        ["group", "describe", "x"],
        ["group", "watch", "x"],
        ["group", "seek", "x", "--to", "end"],
        ["group", "delete", "x", "-y"],
        ["bench", "produce"],
        ["bench", "consume", "x"],
        ["health"],
    ],
)
def test_no_broker_is_one_line_and_exit_code_3(arguments: list[str], nobody: str, invoke: Invoke) -> None:
    outcome = invoke(*arguments, "-b", nobody)
    assert outcome.code == 3
    assert outcome.err.startswith("minikafka: no broker ")
    assert outcome.err.count("\n") == 1
    assert nobody in outcome.err


def test_the_broker_may_be_named_before_the_command_and_in_the_environment(
    nobody: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nobody in invoke("-b", nobody, "topic", "list").err
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", nobody)
    assert nobody in invoke("topic", "list").err
    assert nobody in invoke("health").err
    assert "127.0.0.1:1" in invoke("health", "-b", "127.0.0.1:1").err


def test_a_shell_that_completes_a_command_imports_none_of_them() -> None:
    code = (
        "import sys, click; from minikafka.cli.main import cli; "
        "cli.shell_complete(click.Context(cli), ''); "
        "print([name for name in ('rich', 'asyncio', 'minikafka_client', 'minikafka.broker') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("place", ["minikafka.cli.health:health", "minikafka.cli.health:nosuch"])
def test_garbage_is_collected_again_once_a_command_is_imported(place: str) -> None:
    with suppress(AttributeError):
        LazyCommand(place, "").load()
    assert gc.isenabled()


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: LazyCommand) -> click.Command:
        raise ZeroDivisionError

    monkeypatch.setattr(LazyCommand, "load", broken)
    with pytest.raises(ZeroDivisionError):
        main.run(["topic", "list"])


def test_ctrl_c_ends_a_command_without_a_word(monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    def interrupted(self: LazyCommand) -> click.Command:
        raise KeyboardInterrupt

    monkeypatch.setattr(LazyCommand, "load", interrupted)
    outcome = invoke("topic", "list")
    assert (outcome.code, outcome.err.strip()) == (130, "")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("minikafka.cli.main", ["rich", "asyncio", "minikafka_client", "minikafka.broker", "structlog"]),
        ("minikafka.cli.health", ["rich", "asyncio", "minikafka_client", "minikafka.broker", "structlog"]),
        ("minikafka.cli.serve", ["rich", "minikafka_client", "structlog", "msgpack", "tempfile"]),
        (
            "minikafka.cli.serve",
            [
                "minikafka.storage.compaction",
                "minikafka.records.builder",
                "minikafka.coordinator.group.shard",
                "minikafka.coordinator.transaction.markers",
            ],
        ),
    ],
)
def test_nothing_is_imported_that_a_command_does_not_need(module: str, unwanted: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
