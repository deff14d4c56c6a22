from __future__ import annotations

import pytest

from minikafka.errors import StorageError
from minikafka.observability import failpoints
from minikafka.storage.flush import WAITING_FILE_BYTES, FlushState
from tests.support.memory_fs import MemoryFile, MemoryFileSystem
from tests.support.storage import DATA


class Place:
    """A flush state, and what it was told."""

    def __init__(self, *, error_matters: bool = True) -> None:
        self.fs = MemoryFileSystem()
        self.fs.make_directory(DATA)
        self.errors: list[str] = []

        def on_error(error: StorageError) -> bool:
            self.errors.append(str(error))
            return error_matters

        self.state = FlushState(self.fs, 10, files=(), unflushed_bytes=7, on_error=on_error)

    def file(self, name: str) -> MemoryFile:
        return self.fs.open(DATA / name, create=True)

    def synced(self) -> list[str]:
        paths = [path for name, path in self.fs.calls if name in {"fdatasync", "sync_directory"}]
        self.fs.calls.clear()
        return [path.removeprefix("/data/") for path in paths]


def test_with_nothing_new_there_is_no_round() -> None:
    assert Place().state.begin(10, None) is None


def test_files_come_before_the_active_one_and_directories_last() -> None:
    place = Place()
    place.state.add_files([place.file("closed")])
    place.state.add_directory(DATA)
    place.state.add_directory(DATA)
    ticket = place.state.begin(25, place.file("active"))
    assert ticket is not None
    place.fs.calls.clear()
    ticket.run()
    assert place.synced() == ["closed", "active", "/data"]
    place.state.end(ticket)
    assert place.state.end_offset == 25
    assert place.state.begin(25, None) is None


def test_a_round_begins_a_new_count() -> None:
    place = Place()
    place.state.begin(12, place.file("active"))
    assert place.state.unflushed_bytes == 0


def test_what_a_round_has_not_synced_stays() -> None:
    place = Place()
    active = place.file("active")
    ticket = place.state.begin(12, active)
    assert ticket is not None
    ticket.run()
    place.state.add_files([active, place.file("index")])
    place.state.end(ticket)
    following = place.state.begin(15, place.file("next"))
    assert following is not None
    place.fs.calls.clear()
    following.run()
    assert place.synced() == ["active", "index", "next"]


def test_a_file_that_is_written_again_during_a_round_stays() -> None:
    place = Place()
    file = place.file("recovered")
    place.state.add_files([file])
    ticket = place.state.begin(12, file)
    assert ticket is not None
    ticket.run()
    place.state.add_files([file])
    place.state.end(ticket)
    assert place.state.begin(15, None) is not None


def test_a_directory_that_gets_another_name_during_a_round_stays() -> None:
    place = Place()
    place.state.add_directory(DATA)
    ticket = place.state.begin(12, None)
    assert ticket is not None
    ticket.run()
    place.state.add_directory(DATA)
    place.state.end(ticket)
    following = place.state.begin(12, None)
    assert following is not None
    place.fs.calls.clear()
    following.run()
    assert place.synced() == ["/data"]


def test_a_round_that_never_ran_leaves_everything_to_the_next() -> None:
    place = Place()
    place.state.add_files([place.file("closed")])
    place.state.begin(12, None)
    following = place.state.begin(12, None)
    assert following is not None
    place.fs.calls.clear()
    following.run()
    assert place.synced() == ["closed"]


def test_an_older_round_does_not_bring_the_point_back() -> None:
    place = Place()
    older, newer = place.state.begin(12, place.file("a")), place.state.begin(20, place.file("a"))
    assert older is not None
    assert newer is not None
    place.state.end(newer)
    place.state.end(older)
    assert place.state.end_offset == 20


def test_a_truncation_voids_the_rounds_under_way() -> None:
    place = Place()
    ticket = place.state.begin(20, place.file("a"))
    assert ticket is not None
    place.state.truncated(15)
    place.state.end(ticket)
    assert place.state.end_offset == 10
    place.state.truncated(4)
    assert (place.state.end_offset, place.state.unflushed_bytes) == (4, 0)


@pytest.mark.parametrize("operation", ["fdatasync", "sync_directory"])
def test_an_error_is_told_and_raised(operation: str) -> None:
    place = Place()
    place.state.add_directory(DATA)
    ticket = place.state.begin(20, place.file("a"))
    assert ticket is not None
    place.fs.fail(operation)
    with pytest.raises(StorageError):
        ticket.run()
    assert len(place.errors) == 1


@pytest.mark.parametrize("name", ["flush.before_sync", "flush.after_sync"])
def test_failpoints_stand_around_the_syncing(name: str) -> None:
    place = Place()
    ticket = place.state.begin(20, place.file("a"))
    assert ticket is not None
    with failpoints.active(f"{name}:error"), pytest.raises(StorageError, match=name):
        ticket.run()
    assert place.errors == [f"[Errno 5] failpoint {name}"]


def test_an_error_that_does_not_matter_is_swallowed() -> None:
    place = Place(error_matters=False)
    ticket = place.state.begin(20, place.file("a"))
    assert ticket is not None
    place.fs.fail("fdatasync")
    ticket.run()
    assert len(place.errors) == 1


def test_directories_that_were_synced_at_once_are_not_synced_again() -> None:
    place = Place()
    place.state.add_directory(DATA)
    place.state.sync_directories()
    assert place.synced()[-1:] == ["/data"]
    assert place.state.begin(10, None) is None


def test_a_directory_that_could_not_be_synced_is_tried_again() -> None:
    place = Place()
    place.state.add_directory(DATA)
    place.fs.fail("sync_directory")
    with pytest.raises(StorageError):
        place.state.sync_directories()
    assert place.state.begin(10, None) is not None


def test_files_that_wait_make_a_round_due() -> None:
    place = Place()
    place.state.add_files([place.file("closed"), place.file("index")])
    assert place.state.unflushed_bytes == 7 + 2 * WAITING_FILE_BYTES
    place.state.begin(10, None)
    assert place.state.unflushed_bytes == 0
