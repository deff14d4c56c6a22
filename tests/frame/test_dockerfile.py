"""What can be said of Dockerfile, .dockerignore and compose.yaml by reading them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.frame.dockerfile import Stage, context_files, exec_form, parse

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "compose.yaml"
COMPOSE_CLIENTS = (["docker", "compose"], ["docker-compose"], ["podman-compose"])


@pytest.fixture
def stages() -> list[Stage]:
    return parse(DOCKERFILE.read_text())


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_every_stage_begins_with_the_same_pinned_python(stages: list[Stage]) -> None:
    # A virtual environment moves between stages only if its interpreter is the same one at the same place.
    (base,) = {stage.base for stage in stages}
    version = re.fullmatch(r"python:(\d+\.\d+)-slim-[a-z]+", base)
    assert version is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]


def test_the_image_runs_without_root_and_without_a_shell(stages: list[Stage]) -> None:
    last = stages[-1].last
    uid, _, gid = last("USER").partition(":")  # numbers, so that Kubernetes can see that it is not root
    assert int(uid) > 0
    assert int(gid) > 0
    assert exec_form(last("ENTRYPOINT")) == ["minikafka"]
    assert exec_form(last("CMD"))[0] == "serve"
    assert exec_form(last("HEALTHCHECK").partition(" CMD ")[2]) == ["minikafka", "health"]


def test_only_what_the_wheel_is_made_of_is_sent_to_the_build(stages: list[Stage]) -> None:
    names = [path.as_posix() for path in context_files(ROOT, (ROOT / ".dockerignore").read_text().splitlines())]
    sources = [word for found in stages[0].instructions if found.keyword == "COPY" for word in found.text.split()[:-1]]
    assert "minikafka/py.typed" in names
    assert "clients/minikafka_client/py.typed" in names
    assert {name.split("/")[0] for name in names} == set(sources)
    assert not [name for name in names if "__pycache__" in name]


def test_compose_has_one_broker_that_fits_the_image(stages: list[Stage]) -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    assert set(compose) <= {"services", "volumes"}
    (service,) = compose["services"].values()
    assert service["build"] == "."
    (port,) = service["ports"]
    assert port.split(":")[-1] == stages[-1].last("EXPOSE")
    (volume,) = service["volumes"]
    name, _, target = volume.partition(":")
    assert name in compose["volumes"]
    assert target == stages[-1].last("VOLUME")
    assert all(isinstance(value, str) for value in service["environment"].values())


def test_a_compose_client_accepts_the_file() -> None:
    client = next((words for words in COMPOSE_CLIENTS if _succeeds([*words, "version"])), None)
    if client is None:
        pytest.skip("no compose client is here")
    command = [*client, "--file", str(COMPOSE), "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"]["kafka"]["environment"] == {"KAFKA_NUM_PARTITIONS": "3"}


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
