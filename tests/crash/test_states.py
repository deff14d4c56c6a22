from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

from tests.crash.recording_fs import EMPTY, ROOT, Image, RecordingFile, RecordingFileSystem, WriteFault
from tests.crash.states import Crash, CrashState, durable_image, power_losses, process_deaths

_DATA = Path("/data")
_SECTOR = 512


def start() -> tuple[RecordingFileSystem, RecordingFile]:
    """A file whose name is on the disk."""
    fs = RecordingFileSystem()
    fs.make_directory(_DATA)
    fs.sync_directory(Path("/"))
    file = fs.open(_DATA / "a", create=True)
    fs.sync_directory(_DATA)
    return fs, file


def names(image: Image) -> set[str]:
    """The names in the data directory."""
    return set(image.directories[image.directories[ROOT]["data"]])


def contents(states: Iterable[CrashState], name: str = "a") -> set[bytes | None]:
    """What a file may hold; None where it is missing."""
    found: set[bytes | None] = set()
    for state in states:
        entries = state.image.directories[state.image.directories[ROOT]["data"]]
        found.add(state.image.files[entries[name]] if name in entries else None)
    return found


def after(fs: RecordingFileSystem, samples: int = 50) -> list[CrashState]:
    """The power losses after the last operation."""
    states = power_losses(EMPTY, fs.trace, Random(1), samples)
    return [state for state in states if state.last_at == len(fs.trace)]


def test_a_process_that_dies_leaves_the_beginning_of_its_last_write() -> None:
    fs, file = start()
    file.writev([b"12"])
    file.writev([b"345"])
    states = list(process_deaths(EMPTY, fs.trace, Random(1), cuts=9))
    late = [state for state in states if state.last_at >= 4]
    assert contents(late) == {b"", b"1", b"12", b"123", b"1234", b"12345"}
    assert {state.crash for state in states} == {Crash.PROCESS}


def test_what_was_synced_survives() -> None:
    fs, file = start()
    file.writev([b"12"])
    file.fdatasync()
    assert contents(after(fs)) == {b"12"}
    fs.mark("nothing happens to the disk")
    assert {(state.first_at, state.last_at) for state in after(fs)} == {(6, 7)}


def test_what_was_not_may_survive_in_part_or_as_anything() -> None:
    fs, file = start()
    file.writev([bytes(range(1, 9))])
    found = contents(after(fs))
    assert {b"", bytes(range(1, 9)), bytes(8), bytes(range(1, 5))} <= found
    assert any(content and content not in bytes(range(1, 9)) and any(content) for content in found)


def test_sectors_survive_one_by_one() -> None:
    fs, file = start()
    file.writev([b"x" * (3 * _SECTOR)])
    assert b"x" * _SECTOR + bytes(_SECTOR) + b"x" * _SECTOR in contents(after(fs, 300))


def test_a_later_write_may_survive_without_the_one_before_it() -> None:
    fs, file = start()
    file.writev([b"12"])
    file.writev([b"34"])
    assert bytes(2) + b"34" in contents(after(fs, 300))


def test_what_took_several_calls_is_one_write() -> None:
    fs, _ = start()
    fs.write_faults.append(WriteFault(1))
    log = fs.open(_DATA / "a.log", create=True)
    fs.sync_directory(_DATA)
    assert log.writev([b"1234"]) == 1
    log.writev([b"234"])
    log.writev([b"5"])
    found = contents(after(fs, 300), "a.log")
    assert {b"", b"123", b"1234", b"12345", bytes(5), bytes(4) + b"5", b"1234\0"} <= found
    assert not {b"\x00234", b"\x002345"} & found


def test_a_truncation_may_be_undone_until_it_is_synced() -> None:
    fs, file = start()
    file.writev([b"1234"])
    file.fdatasync()
    file.truncate(1)
    assert contents(after(fs)) == {b"1234", b"1"}
    file.fdatasync()
    assert contents(after(fs)) == {b"1"}


def test_a_sync_does_not_cover_what_was_written_while_it_ran() -> None:
    fs, file = start()
    file.writev([b"12"])

    def others() -> None:
        file.writev([b"34"])

    fs.meanwhile = others
    file.fdatasync()
    assert {b"12", b"1234"} <= contents(after(fs))


def test_names_change_in_order_until_the_directory_is_synced() -> None:
    fs, _ = start()
    fs.rename(_DATA / "a", _DATA / "b")
    fs.open(_DATA / "c", create=True)
    fs.unlink(_DATA / "b")
    orders = ({"a"}, {"b"}, {"b", "c"}, {"c"})
    assert {frozenset(names(state.image)) for state in after(fs)} == set(map(frozenset, orders))
    fs.sync_directory(_DATA)
    assert {frozenset(names(state.image)) for state in after(fs)} == {frozenset({"c"})}


def test_syncing_a_file_makes_its_name_durable_on_some_file_systems_only() -> None:
    fs, _ = start()
    file = fs.open(_DATA / "b", create=True)
    fs.open(_DATA / "c", create=True)
    file.fdatasync()
    found = {frozenset(names(state.image)) for state in after(fs)}
    assert found == {frozenset("a"), frozenset("ab"), frozenset("abc")}
    assert names(durable_image(EMPTY, fs.trace)) == {"a"}
