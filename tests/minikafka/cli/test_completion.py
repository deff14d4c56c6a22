from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.minikafka.cli.support import Invoke


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_this_program(shell: str, invoke: Invoke) -> None:
    script = invoke("completion", shell)
    assert (script.code, script.err) == (0, "")
    assert f"_MINIKAFKA_COMPLETE={shell}_complete" in script.out


def test_bash_takes_its_script(invoke: Invoke) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = f"{invoke('completion', 'bash').out}\ncomplete -p minikafka"
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    assert "_minikafka_completion" in done.stdout


def test_ones_own_shell_is_found(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert invoke("completion").out == invoke("completion", "fish").out


@pytest.mark.parametrize("shell", ["", "/bin/tcsh"])
def test_a_shell_that_is_not_known_is_asked_for(shell: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", shell)
    outcome = invoke("completion")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "minikafka: which shell? 'minikafka completion' takes one of bash, zsh, fish\n"
