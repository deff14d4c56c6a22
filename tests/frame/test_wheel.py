"""The wheel: what `pip install .` and a package index hand out."""

from __future__ import annotations

import email
import os
import signal
import subprocess
import sys
import time
import tomllib
import venv
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {"minikafka": ROOT / "minikafka", "minikafka_client": ROOT / "clients" / "minikafka_client"}

pytestmark = pytest.mark.slow


def pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(ROOT))
    (built,) = place.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of a virtual environment that has the wheel alone; what it depends on is there already."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, symlinks=True)
    (packages,) = place.glob("lib/python3.*/site-packages")
    pip("install", "--quiet", "--no-deps", "--target", str(packages), str(wheel))
    return packages


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_it_is_for_every_machine(wheel: Path) -> None:
    assert wheel.name == f"minikafka-{PROJECT['version']}-py3-none-any.whl"


def test_it_has_both_packages_whole_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    top = {name.split("/")[0] for name in names}
    assert top == {*PACKAGES, f"minikafka-{PROJECT['version']}.dist-info"}
    for package, source in PACKAGES.items():
        expected = {f"{package}/{path.relative_to(source).as_posix()}" for path in source.rglob("*.py")}
        assert {name for name in names if name.startswith(f"{package}/") and name.endswith(".py")} == expected
        assert f"{package}/py.typed" in names
    assert not [name for name in names if name.endswith(".pyc") or "/tests/" in name]


def test_its_metadata_say_what_it_needs_and_under_what_licence(wheel: Path) -> None:
    said = metadata(wheel)
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert said["License-Expression"] == "Apache-2.0"
    assert said.get_all("License-File") == ["LICENSE"]
    needed = [line for line in said.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(needed) == len(PROJECT["dependencies"])


def test_what_it_installs_runs_a_broker(installed: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(installed)}
    program = installed / "bin" / "minikafka"
    said = subprocess.run([program, "--version"], env=environ, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["minikafka", PROJECT["version"]]
    ready_file = tmp_path / "ready"
    arguments = ["serve", "--memory", "--listen", "127.0.0.1:0", "--ready-file", str(ready_file)]
    with subprocess.Popen([program, *arguments], env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL) as broker:
        try:
            deadline = time.monotonic() + 20
            while not ready_file.exists():
                assert broker.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)  # a file that appears sends no word
            health = [program, "health", "-b", ready_file.read_text().strip()]
            assert subprocess.run(health, env=environ, capture_output=True, check=False).returncode == 0
            broker.send_signal(signal.SIGTERM)
            assert broker.wait(20) == 0
        finally:
            broker.kill()


def test_a_type_checker_sees_through_what_it_installs(installed: Path, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("from minikafka_client import Producer\n\nProducer('localhost:9092', linger_ms='soon')\n")
    python = installed.parents[2] / "bin" / "python"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--python-executable", python, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    (error, _) = done.stdout.splitlines()
    assert '"linger_ms"' in error
    assert "[arg-type]" in error
