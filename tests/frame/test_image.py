"""The image: its Dockerfile's steps carried out, and containers of it run as an engine would."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.frame.container import Container, Image, running_container

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1 << 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first of them builds the image


def run(container: Container, *words: str, stdin: bytes = b"") -> str:
    """Run ``minikafka`` in the container; what it prints."""
    done = container.run("minikafka", *words, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def partitions_of_a_new_topic(container: Container) -> int:
    run(container, "produce", "auto", stdin=b"made by the first record\n")
    (described,) = json.loads(run(container, "topic", "describe", "auto", "-o", "json"))
    assert isinstance(described["partitions"], int)
    return described["partitions"]


def advertised(container: Container, bootstrap: str) -> str:
    """The broker that a client is told of which begins at ``bootstrap``."""
    program = f"""
from minikafka_client import Admin
with Admin("{bootstrap}") as admin:
    (broker,) = admin.describe_cluster().brokers
    print(broker.node_id, broker.host, broker.port)
"""
    done = container.run("python", "-c", program)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_the_build_goes_through_without_a_warning(image: Image) -> None:
    assert "Successfully installed" in image.build_output
    assert not [line for line in image.build_output.splitlines() if re.search(r"warning|error", line, re.IGNORECASE)]


def test_the_image_is_small_and_compiled(image: Image) -> None:
    installed = [path for path in image.path("/opt/minikafka").rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in installed) < 50 * MEBIBYTE
    packages = {path.parent.name for path in installed if path.name == "__init__.py"}
    assert {"minikafka", "minikafka_client"} <= packages
    assert not {"pip", "tests", "hatchling"} & packages
    site_packages = next(image.path("/opt/minikafka/lib").glob("python3.*/site-packages"))
    sources = [*site_packages.glob("minikafka*/**/*.py")]
    compiled = [*site_packages.glob("minikafka*/**/*.pyc")]
    assert len(sources) == len(compiled) > 100


def test_it_serves_without_a_single_variable(image: Image) -> None:
    with running_container(image, read_only=True) as container:
        container.wait_until_healthy()
        assert container.run("id", "-u", "-n").stdout == b"minikafka\n"
        assert container.run("touch", "/etc/minikafka/written").returncode != 0
        run(container, "produce", "greetings", stdin=b"hello\n")
        # Not the loopback's usual address: through a published port clients come from outside.
        assert run(container, "consume", "greetings", "-e", "-o", "raw", "-b", "127.0.0.2:9092") == "hello\n"
        assert (container.data / "greetings-0").is_dir()


def test_the_stop_signal_ends_it_well_and_the_volume_keeps_the_data(image: Image) -> None:
    with running_container(image) as container:
        container.wait_until_healthy()
        run(container, "produce", "kept", stdin=b"before\n")
        assert container.stop() == 0
        assert (container.data / ".kafka_cleanshutdown").exists()
    with running_container(image, volume=container.volume) as container:
        container.wait_until_healthy()
        assert run(container, "consume", "kept", "-e", "-o", "raw") == "before\n"


def test_a_killed_container_starts_again_though_it_is_process_1_again(image: Image) -> None:
    with running_container(image) as container:
        container.wait_until_healthy()
        run(container, "produce", "kept", "--acks", "all", stdin=b"before\n")
        assert container.stop(signal.SIGKILL) != 0
        assert not (container.data / ".kafka_cleanshutdown").exists()
    with running_container(image, volume=container.volume) as container:
        container.wait_until_healthy()
        assert run(container, "consume", "kept", "-e", "-o", "raw") == "before\n"


def test_the_health_check_follows_the_listener_and_notices_a_dead_broker(image: Image) -> None:
    with running_container(image, {"KAFKA_LISTENERS": "PLAINTEXT://127.0.0.1:9093"}) as container:
        container.wait_until_healthy()
        os.kill(container.pid, signal.SIGSTOP)
        assert not container.is_healthy()


def test_kafka_variables_have_effect(image: Image) -> None:
    variables = {
        "KAFKA_NODE_ID": "7",
        "KAFKA_NUM_PARTITIONS": "5",
        "KAFKA_LOG_DIRS": f"{image.volume}/elsewhere",
        "KAFKA_LISTENERS": "INSIDE://:9092,OUTSIDE://:19092",
        "KAFKA_ADVERTISED_LISTENERS": "INSIDE://localhost:9092,OUTSIDE://kafka.example:29092",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        "KAFKA_CFG_MESSAGE_MAX_BYTES": "4096",
        "KAFKA_CFG_NUM_PARTITIONS": "9",  # the official image's own name counts more
        "KAFKA_LOG4J_ROOT_LOGLEVEL": "DEBUG",
        "KAFKA_NO_SUCH_THING": "1",
    }
    with running_container(image, variables) as container:
        container.wait_until_healthy()
        assert partitions_of_a_new_topic(container) == 5
        assert (container.data / "elsewhere" / "auto-4").is_dir()
        assert advertised(container, "localhost:9092") == "7 localhost 9092"
        assert advertised(container, "localhost:19092") == "7 kafka.example 29092"
        too_large = container.run("minikafka", "produce", "auto", stdin=b"x" * 5000)
        assert too_large.returncode == 1
        assert b"max.message.bytes, 4096" in too_large.stderr
        assert "no.such.thing" in container.output


def test_what_starts_the_official_image_as_one_node_starts_this_one(image: Image) -> None:
    variables = {
        "CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw",
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:9092",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_NUM_PARTITIONS": "3",
        "KAFKA_LOG_DIRS": "/tmp/kraft-combined-logs",
    }
    with running_container(image, variables) as container:
        container.wait_until_healthy()
        assert partitions_of_a_new_topic(container) == 3
        assert advertised(container, "localhost:9092") == "1 localhost 9092"
        properties = container.run("cat", "/tmp/kraft-combined-logs/meta.properties").stdout.decode()
        assert "cluster.id=4L6g3nShT-eMCtK--X86sw" in properties


def test_what_compose_sets_is_what_the_broker_has(image: Image) -> None:
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    with running_container(image, service["environment"]) as container:
        container.wait_until_healthy()
        assert partitions_of_a_new_topic(container) == int(service["environment"]["KAFKA_NUM_PARTITIONS"])


@pytest.mark.parametrize("command", ["serve", "serve --memory"])
def test_it_serves_with_other_options_too(image: Image, command: str) -> None:
    with running_container(image, command=command.split(), read_only="--memory" not in command) as container:
        container.wait_until_healthy()
        assert bool(list(container.data.iterdir())) == (command == "serve")
        assert container.stop() == 0


def test_the_program_of_the_image_is_the_command_line(image: Image) -> None:
    with running_container(image, command=["--version"]) as container:
        assert container.process.wait(20) == 0
        assert container.output.startswith("minikafka ")
