from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.minikafka.cli.support import Invoke


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """Answers one request with these bytes and closes; with None it stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as connection:
                connection.recv(4096)
                if answer is not None:
                    connection.sendall(answer)
                    return
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = listening.getsockname()
        yield f"{host}:{port}"
        thread.join(10)


def test_a_broker_that_serves_is_well(bootstrap: str, invoke: Invoke) -> None:
    outcome = invoke("health", "-b", bootstrap)
    assert outcome.code == 0
    assert outcome.out.startswith(f"ok: {bootstrap} serves ")
    assert invoke("health", "-q", "-b", bootstrap).out == ""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the connection was closed"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not Kafka's protocol"),
        (b"\x00\x00\x00\x00", "not Kafka's protocol"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x01", "no broker at"),
        (b"\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x23\x00\x00\x00\x00", "it answers with error 35"),
    ],
)
def test_a_wrong_answer_is_no_health(answer: bytes, reason: str, invoke: Invoke) -> None:
    with server(answer) as address:
        outcome = invoke("health", "-b", address)
    assert outcome.code == 3
    assert reason in outcome.err


def test_no_answer_in_time_is_no_health(invoke: Invoke) -> None:
    with server(None) as address:
        outcome = invoke("health", "-b", address, "--timeout", "0.1")
    assert outcome.code == 3
    assert "no answer in time" in outcome.err


def test_in_the_image_the_port_is_the_configured_one(
    bootstrap: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = bootstrap.rpartition(":")[2]
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("MINIKAFKA_IMAGE", "1")
    monkeypatch.setenv("KAFKA_LISTENERS", f"PLAINTEXT://0.0.0.0:{port}")
    assert invoke("health").out.startswith(f"ok: localhost:{port} serves ")
