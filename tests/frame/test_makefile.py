"""The Makefile in a fresh clone, where Python and make are all there is."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from minikafka_client import Consumer, Producer, TopicPartition

ROOT = Path(__file__).parents[2]
# What POSIX promises on every machine, as far as the Makefile asks for it.
POSIX_TOOLS = ("sh", "rm", "touch", "grep", "sed", "expand")
KEPT_VARIABLES = re.compile(r"HOME|PIP_\w+|SSL_\w+|\w+_proxy|\w+_PROXY")
INSTALL_TIMEOUT_S = 280

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, and the environment of a machine that has just been set up."""

    directory: Path
    environ: dict[str, str]

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *words],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )


@dataclass(frozen=True)
class Serving:
    """``make serve``, ready."""

    process: subprocess.Popen[bytes]
    bootstrap: str


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The last commit in a new folder; its virtual environment is made by whichever test comes first."""
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    place = tmp_path_factory.mktemp("clone")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place / "minikafka")], check=True)
    programs = place / "bin"
    programs.mkdir()
    for tool in ("make", *POSIX_TOOLS):
        found = shutil.which(tool)
        assert found is not None, tool
        (programs / tool).symlink_to(found)
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec {Path(sys.base_prefix, "bin", "python3")} "$@"\n')
    python.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if KEPT_VARIABLES.fullmatch(name)}
    return Clone(place / "minikafka", {**kept, "PATH": str(programs)})


@contextmanager
def serving(clone: Clone, ready_file: Path) -> Iterator[Serving]:
    """``make serve`` as somebody types it, in a process group of its own as a shell would start it."""
    process = subprocess.Popen(
        ["make", "serve", f"ARGS=--listen 127.0.0.1:0 --ready-file {ready_file}"],
        cwd=clone.directory,
        env=clone.environ,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + INSTALL_TIMEOUT_S
        while not ready_file.exists():
            assert process.poll() is None, f"make ended with {process.returncode}"
            assert time.monotonic() < deadline, "the broker did not become ready"
            time.sleep(0.05)  # a file that appears sends no word
        yield Serving(process, ready_file.read_text().strip())
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_make_serve_runs_a_broker_that_ctrl_c_ends_and_that_finds_its_data_again(clone: Clone, tmp_path: Path) -> None:
    ready_file = tmp_path / "ready"
    with serving(clone, ready_file) as broker:
        with Producer(broker.bootstrap) as producer:
            producer.send("made", "by hand").result()
        os.killpg(broker.process.pid, signal.SIGINT)  # Ctrl-C is for all that runs in the terminal
        broker.process.wait(20)
        assert not ready_file.exists()
        assert (clone.directory / "minikafka-data" / ".kafka_cleanshutdown").exists()
    with serving(clone, ready_file) as broker:
        with Consumer(broker.bootstrap) as consumer:
            consumer.assign([TopicPartition("made", 0)])
            consumer.seek_to_beginning()
            assert [message.value for message in consumer.poll(timeout_ms=5000)] == [b"by hand"]
        broker.process.terminate()  # a service manager knows make alone
        broker.process.wait(20)
        assert not ready_file.exists()


def test_make_test_runs_the_tests(clone: Clone) -> None:
    done = clone.make("test", "ARGS=tests/minikafka/test_types.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


def test_make_test_installs_whatever_the_tests_import(clone: Clone) -> None:
    done = clone.make("test", "ARGS=--collect-only -q")
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"\d+ tests collected", done.stdout)


def test_make_test_fails_when_a_test_does(clone: Clone) -> None:
    done = clone.make("test", "ARGS=tests/no_such_test.py")
    assert done.returncode != 0


def test_make_says_what_it_can_do(clone: Clone) -> None:
    listed = clone.make()
    assert listed.returncode == 0, listed.stderr
    assert clone.make("help").stdout == listed.stdout
    targets = re.search(r"^\.PHONY: (.+)$", (clone.directory / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    assert [line.split()[0] for line in listed.stdout.splitlines()] == targets[1].split()


def test_what_make_leaves_is_ignored_by_git(clone: Clone) -> None:
    assert clone.make("serve", "ARGS=--no-such-option").returncode != 0  # but the environment is there now
    status = subprocess.run(
        ["git", "-C", str(clone.directory), "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
