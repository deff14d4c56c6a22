"""A broker of its own process for the commands to talk to, and command lines run in this one."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Iterator

import pytest

from minikafka.cli.main import run
from tests.minikafka.cli.support import Invoke, Outcome, serving


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Invoke:
    """Run a command line in this process: ``invoke("topic", "list", stdin=b"")``."""

    def run_it(*arguments: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capsysbinary.readouterr()
        code = run(arguments)
        out, err = capsysbinary.readouterr()
        return Outcome(code, out.decode(), err.decode())

    return run_it


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a broker serves that all tests share; each uses topics of its own."""
    with serving(tmp_path_factory.mktemp("cli-broker"), "--memory") as broker:
        yield broker.bootstrap


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic name that no other test uses."""
    return "t-" + "".join(char if char.isalnum() else "-" for char in request.node.name)[:200]


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing answers: the port is bound, and not listened at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"
