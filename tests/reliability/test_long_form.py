from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikafka.observability import logging
from tests.reliability import kinds
from tests.reliability.__main__ import main


@pytest.fixture(autouse=True)
def _log_lines_come_back() -> Iterator[None]:
    yield
    logging.configure("pretty", "warning")


def lines(ledger: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in ledger.read_text().splitlines()]


def test_a_run_is_written_down_and_the_next_goes_on_from_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    arguments = ["--budget", "0.01", "--seed", "7", "--resume", "--only", "damage", "--ledger", str(ledger)]
    assert main(arguments) == 0
    assert main(arguments) == 0
    first, second = lines(ledger)
    assert (first["kind"], first["seed"], first["failure"]) == ("damage", 7, None)
    assert second["seed"] == 8
    assert first["counts"] == {"directories": 200}
    assert "2 runs" in capsys.readouterr().out


def test_a_failure_is_written_down_and_what_it_left_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(_seed: int, directory: Path) -> kinds.Counts:
        (directory / "evidence").touch()
        raise AssertionError("something is lost")

    monkeypatch.setitem(kinds.KINDS, "damage", kinds.Kind(lose, 1, "nothing"))  # type: ignore[arg-type]
    ledger = tmp_path / "ledger.jsonl"
    assert main(["--budget", "0.01", "--only", "damage", "--ledger", str(ledger)]) == 1
    entry = lines(ledger)[0]
    assert "something is lost" in str(entry["failure"])
    assert (tmp_path / "damage-1" / "evidence").exists()
