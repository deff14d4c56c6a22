from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from minikafka.cli.serve import _level_of_image
from tests.minikafka.cli.support import Invoke, command_line, environment, serving


def test_the_ready_file_says_where_and_goes_with_the_broker(tmp_path: Path, invoke: Invoke) -> None:
    with serving(tmp_path, "--data-dir", str(tmp_path / "data")) as broker:
        host, _, port = broker.bootstrap.rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        assert invoke("health", "-b", broker.bootstrap).code == 0
        assert broker.end(signal.SIGTERM) == 0
        assert not broker.ready_file.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_ready_file_of_an_earlier_broker_is_removed_before_the_start(tmp_path: Path, nobody: str) -> None:
    ready_file = tmp_path / "ready"
    ready_file.write_text(f"{nobody}\n")
    done = subprocess.run(
        command_line("serve", "--listen", nobody, "--data-dir", "/proc/none", "--ready-file", str(ready_file)),
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert not ready_file.exists()


def test_ctrl_c_ends_it_cleanly_and_the_data_stay(tmp_path: Path, invoke: Invoke) -> None:
    data = str(tmp_path / "data")
    with serving(tmp_path, "--data-dir", data) as broker:
        assert invoke("produce", "kept", "-b", broker.bootstrap, stdin=b"one\ntwo\n").code == 0
        assert broker.end(signal.SIGINT) == 0
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    with serving(tmp_path, "--data-dir", data) as broker:
        assert invoke("consume", "kept", "-e", "-o", "raw", "-b", broker.bootstrap).out == "one\ntwo\n"


def test_the_banner_says_what_differs_from_kafka(tmp_path: Path) -> None:
    with serving(tmp_path, "--memory", "--log", "pretty", "-X", "num.partitions=3") as broker:
        assert broker.process.stdout is not None
        lines = [broker.process.stdout.readline().decode() for _ in range(3)]
        assert "ready in " in lines[0]
        assert "in memory" in lines[0]
        assert f"PLAINTEXT://{broker.bootstrap}" in lines[1]
        assert "node.id=1" in lines[2]


def test_json_logs_are_one_object_a_line_and_tell_of_warnings(tmp_path: Path) -> None:
    properties = tmp_path / "server.properties"
    properties.write_text("process.roles=broker\nnum.partitions=2\n")
    arguments = ("--memory", "--log", "json", "--config", str(properties))
    with serving(tmp_path, *arguments, stderr=subprocess.PIPE) as broker:
        assert broker.end(signal.SIGTERM) == 0
        assert broker.process.stderr is not None
        events = [json.loads(line) for line in broker.process.stderr]
    by_name = {event["event"]: event for event in events}
    assert by_name["broker_ready"]["addresses"] == [f"PLAINTEXT://{broker.bootstrap}"]
    assert by_name["broker_ready"]["ready_in_s"] > 0
    assert "process.roles" in by_name["configuration_warning"]["detail"]


def test_a_broker_in_memory_leaves_nothing_behind(tmp_path: Path) -> None:
    with serving(tmp_path, "--memory", stderr=subprocess.PIPE) as broker:
        assert broker.end(signal.SIGTERM) == 0
        assert broker.process.stderr is not None
        events = [json.loads(line) for line in broker.process.stderr]
    (directory,) = next(event["log_dirs"] for event in events if event["event"] == "broker_ready")
    assert "minikafka-memory-" in directory
    assert not Path(directory).exists()


def test_the_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    with serving(tmp_path, "--memory") as broker:
        limits = Path(f"/proc/{broker.process.pid}/limits").read_text()
    soft, hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]
    assert soft == hard


def test_a_second_signal_ends_it_at_once() -> None:
    code = """
import asyncio, os, signal
from minikafka.cli.serve import _stop_on_signal

async def main():
    stop = _stop_on_signal()
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()  # a broker that takes its time to stop

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), check=False, timeout=30)
    assert done.returncode == 128 + signal.SIGTERM


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = _serve("--listen", address, "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"minikafka: PLAINTEXT://{address} is in use by another program")
    assert "Traceback" not in done.stderr


def test_a_directory_in_use_is_one_line(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with serving(tmp_path, "--data-dir", data):
        done = _serve("--listen", "127.0.0.1:0", "--data-dir", data)
    assert done.returncode == 1
    assert "another process holds it" in done.stderr
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_partition_that_is_damaged_is_shown_and_the_others_are_served(tmp_path: Path, invoke: Invoke) -> None:
    data = tmp_path / "data"
    with serving(tmp_path, "--data-dir", str(data), "-X", "num.partitions=2") as broker:
        for partition in ("0", "1"):
            invoke("produce", "t", "-p", partition, "-b", broker.bootstrap, stdin=b"one\n")
        assert broker.end(signal.SIGTERM) == 0
    segment = data / "t-0" / f"{0:020}.log"
    segment.write_bytes(b"x" * segment.stat().st_size)
    (data / ".kafka_cleanshutdown").unlink()
    with serving(tmp_path, "--data-dir", str(data)) as broker:
        described = invoke("topic", "describe", "t", "-b", broker.bootstrap)
        assert [line.split() for line in described.out.splitlines()[2:4]] == [
            ["0", "none", "1", "1", "1", "-", "-"],
            ["1", "1", "1", "1", "1", "0", "1"],
        ]
        assert invoke("consume", "t", "-p", "1", "-e", "-o", "raw", "-b", broker.bootstrap).out == "one\n"


@pytest.mark.parametrize("listen", ["host.invalid:9092", "192.0.2.1:9092"])
def test_an_address_of_another_machine_is_one_line(listen: str, tmp_path: Path) -> None:
    done = _serve("--listen", listen, "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"minikafka: cannot listen on PLAINTEXT://{listen}: ")


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({}, "info"),
        ({"KAFKA_LOG4J_ROOT_LOGLEVEL": "DEBUG"}, "info"),
        ({"MINIKAFKA_IMAGE": "1"}, "info"),
        ({"MINIKAFKA_IMAGE": "1", "KAFKA_LOG4J_ROOT_LOGLEVEL": "DEBUG"}, "debug"),
        ({"MINIKAFKA_IMAGE": "1", "KAFKA_LOG4J_ROOT_LOGLEVEL": "WARN"}, "warning"),
        ({"MINIKAFKA_IMAGE": "1", "KAFKA_LOG4J_ROOT_LOGLEVEL": "loud"}, "info"),
    ],
)
def test_the_image_takes_kafkas_log_level(environ: dict[str, str], level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINIKAFKA_IMAGE", "KAFKA_LOG4J_ROOT_LOGLEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert _level_of_image() == level


def _serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line("serve", *arguments), env=environment(), capture_output=True, text=True, check=False, timeout=30
    )
