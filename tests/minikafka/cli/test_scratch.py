from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from minikafka.cli import scratch
from minikafka.cli.scratch import scratch_directory


@pytest.fixture(autouse=True)
def in_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_parent", lambda: tmp_path)


def test_the_directory_goes_with_everything_in_it(tmp_path: Path) -> None:
    with scratch_directory() as directory:
        assert directory.parent == tmp_path
        (directory / "orders-0").mkdir()
        (directory / "orders-0" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_broker_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_directory():
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_broker_left_is_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / "minikafka-memory-abc"
    abandoned.mkdir()
    (abandoned / "file").write_text("x")
    with scratch_directory():
        assert not abandoned.exists()


def test_what_another_broker_uses_stays_and_so_does_what_is_not_ours(tmp_path: Path) -> None:
    used = tmp_path / "minikafka-memory-abc"
    used.mkdir()
    other = tmp_path / "minikafka-data"
    other.mkdir()
    lock = os.open(used, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with scratch_directory() as first, scratch_directory() as second:
            assert first != second
            assert first.exists()
    finally:
        os.close(lock)
    assert used.exists()
    assert other.exists()


def test_a_link_with_such_a_name_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "file").write_text("x")
    (tmp_path / "minikafka-memory-abc").symlink_to(target)
    with scratch_directory():
        assert (target / "file").exists()
