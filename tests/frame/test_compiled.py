"""The compiled form of the producer: made of the same sources, it does what they do."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILED = ("accumulator", "batch", "delivery", "intake", "producer")
TESTS = [f"tests/clients/minikafka_client/producer/test_{module}.py" for module in COMPILED]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def compiler_is_missing() -> bool:
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    return shutil.which(compiler) is None or not Path(sysconfig.get_path("include"), "Python.h").exists()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the compiled form, as README says to install it."""
    if compiler_is_missing():
        pytest.skip("there is no C compiler here, or it does not find Python's headers")
    place = tmp_path_factory.mktemp("compiled")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), str(ROOT)],
        env={**os.environ, "HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_python_imports_what_was_compiled(compiled: Path) -> None:
    modules = [f"minikafka_client.producer.{module}" for module in COMPILED]
    program = f"import sys, {', '.join(modules)}; print(*(sys.modules[name].__file__ for name in {modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(compiled)},
        capture_output=True,
        check=True,
    )
    files = [Path(name) for name in done.stdout.decode().split()]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert files == [compiled / "minikafka_client" / "producer" / f"{module}{suffix}" for module in COMPILED]


def test_their_own_tests_pass_with_it(compiled: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-o", f"pythonpath={compiled} .", *TESTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
