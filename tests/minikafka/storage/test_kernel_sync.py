from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikafka.storage import kernel_sync
from minikafka.storage.kernel_sync import CAPACITY, KernelSyncs, open_kernel_syncs


@pytest.fixture
def syncs() -> Iterator[KernelSyncs]:
    opened = open_kernel_syncs()
    if opened is None:
        pytest.skip("the kernel has no asynchronous I/O, or does not let us use it")
    yield opened
    opened.close()


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"content")
    yield fd
    os.close(fd)


def wait(syncs: KernelSyncs, ended: list[int], count: int = 1) -> None:
    while len(ended) < count:
        assert select.select([syncs.event_fd], [], [], 10)[0], "the kernel does not answer"
        syncs.tell()


def test_whoever_waits_for_a_file_is_told_once_it_is_on_the_disk(syncs: KernelSyncs, fd: int) -> None:
    ended: list[int] = []
    assert syncs.start(fd, ended.append)
    assert ended == []
    wait(syncs, ended)
    syncs.tell()
    assert ended == [0]


def test_each_is_told_of_its_own_file(syncs: KernelSyncs, tmp_path: Path) -> None:
    ended: list[int] = []
    for number in range(20):
        fd = os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"content")
        assert syncs.start(fd, lambda error, number=number: ended.append(number if error == 0 else -1))  # type: ignore[misc]
        os.close(fd)  # it goes on all the same
    wait(syncs, ended, 20)
    assert sorted(ended) == list(range(20))


def test_one_that_was_told_may_begin_the_next(syncs: KernelSyncs, fd: int) -> None:
    ended: list[int] = []

    def again(error: int) -> None:
        ended.append(error)
        if len(ended) < 5:
            assert syncs.start(fd, again)

    assert syncs.start(fd, again)
    wait(syncs, ended, 5)
    assert ended == [0] * 5


def test_with_nothing_to_tell_nobody_is_told(syncs: KernelSyncs) -> None:
    syncs.tell()


def test_what_the_kernel_cannot_sync_is_not_taken(syncs: KernelSyncs) -> None:
    reader, writer = os.pipe()
    try:
        assert not syncs.start(writer, lambda _: pytest.fail("told of a file that was not taken"))
        os.close(reader)
        assert not syncs.start(reader, lambda _: pytest.fail("told of a file that is closed"))
    finally:
        os.close(writer)
    syncs.tell()


def test_what_is_more_than_the_kernel_keeps_is_not_taken_and_harms_nothing(syncs: KernelSyncs, fd: int) -> None:
    ended: list[int] = []
    taken = 0
    while taken < 100 * CAPACITY and syncs.start(fd, ended.append):
        taken += 1
    assert CAPACITY <= taken < 100 * CAPACITY
    wait(syncs, ended, taken)
    assert ended == [0] * taken
    assert syncs.start(fd, ended.append)
    wait(syncs, ended, taken + 1)


def test_closing_waits_for_what_is_under_way(fd: int) -> None:
    for _ in range(500):  # what is not freed would use up what the system has
        syncs = open_kernel_syncs()
        if syncs is None:
            pytest.skip("the kernel has no asynchronous I/O, or does not let us use it")
        assert syncs.start(fd, lambda _: pytest.fail("told after the end"))
        syncs.close()


@pytest.mark.parametrize("name", ["sys.platform", "sys.maxsize", "_CALLS"])
def test_where_the_calls_are_not_known_there_are_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"sys.platform": "darwin", "sys.maxsize": 2**31 - 1, "_CALLS": {}}[name]
    monkeypatch.setattr(f"{kernel_sync.__name__}.{name}", other)
    assert open_kernel_syncs() is None


def test_where_the_system_refuses_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    no_call = kernel_sync._Calls(9_999, 9_999, 9_999, 9_999)
    monkeypatch.setattr(kernel_sync, "_CALLS", {os.uname().machine: no_call})
    assert open_kernel_syncs() is None
