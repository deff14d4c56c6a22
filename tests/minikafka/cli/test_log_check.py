from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.cli.log_check import Problem, ProblemKind, check, partition_directories, repair, segment_paths
from minikafka.errors import StorageError
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.fs import OsFileSystem
from minikafka.storage.segment import Segment
from minikafka.types import TopicPartition
from tests.support.storage import make_batch

FS = OsFileSystem()
BATCHES_PER_SEGMENT = 4
RECORDS_PER_BATCH = 3
SEGMENT_RECORDS = BATCHES_PER_SEGMENT * RECORDS_PER_BATCH


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory, claimed by a broker that is gone."""
    home = DataDirectory(tmp_path / "data", FS)
    home.lock()
    home.claim("cluster", 1)
    home.recovery_points = {TopicPartition("orders", 0): 30, TopicPartition("other", 0): 5}
    home.save_recovery_points()
    home.release()
    return home.path


@pytest.fixture
def directory(data: Path) -> Path:
    """A partition of three segments, of 12 records in 4 batches each."""
    path = data / "orders-0"
    path.mkdir()
    for number in range(3):
        write_segment(path, number * SEGMENT_RECORDS)
    return path


def write_segment(path: Path, base_offset: int, epoch: int = 0) -> Segment:
    segment = Segment.create(FS, path, base_offset, 50, 0)
    for offset in range(base_offset, base_offset + SEGMENT_RECORDS, RECORDS_PER_BATCH):
        times = tuple(range(offset, offset + RECORDS_PER_BATCH))
        batch = make_batch(b"a", b"b", b"c", timestamps_ms=times, base_offset=offset, leader_epoch=epoch)
        segment.append(batch[:16], batch[16:], len(batch), offset + RECORDS_PER_BATCH - 1, times[-1])
    segment.save_indexes()
    return segment


def batch_size() -> int:
    return len(make_batch(b"a", b"b", b"c"))


def overwrite(path: Path, position: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)


def problems(directory: Path, *, allow_gaps: bool = False) -> list[Problem]:
    return check(FS, segment_paths(directory), allow_gaps=allow_gaps).problems


def test_a_whole_log_is_read_to_its_end(directory: Path) -> None:
    report = check(FS, segment_paths(directory), allow_gaps=False)
    assert report.problems == []
    assert (report.start_offset, report.end_offset, report.segments, report.batches) == (0, 36, 3, 12)
    assert report.size_bytes == 12 * batch_size()


def test_one_segment_of_a_log_can_be_checked_alone(directory: Path) -> None:
    report = check(FS, segment_paths(directory)[1:2], allow_gaps=False)
    assert (report.start_offset, report.end_offset, report.problems) == (12, 24, [])


def test_missing_indexes_are_no_fault(directory: Path) -> None:
    for path in [*directory.glob("*.index"), *directory.glob("*.timeindex")]:
        path.unlink()
    assert problems(directory) == []


def test_a_torn_tail_is_told_from_corruption(directory: Path) -> None:
    last = segment_paths(directory)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:-5])
    (problem,) = problems(directory)
    assert (problem.kind, problem.offset, problem.position) == (ProblemKind.TORN, 33, 3 * batch_size())


def test_zeros_at_the_end_lose_nothing(directory: Path) -> None:
    last = segment_paths(directory)[-1]
    last.write_bytes(last.read_bytes() + bytes(5000))
    report = check(FS, segment_paths(directory), allow_gaps=False)
    assert [problem.kind for problem in report.problems] == [ProblemKind.TORN]
    assert (report.end_offset, report.lost_bytes) == (36, 0)


def test_a_flipped_bit_in_the_middle_is_corruption(directory: Path) -> None:
    overwrite(segment_paths(directory)[1], batch_size() + 70, b"\xff")
    report = check(FS, segment_paths(directory), allow_gaps=False)
    (problem,) = report.problems
    assert (problem.kind, problem.offset, problem.position) == (ProblemKind.CORRUPT, 15, batch_size())
    assert "crc" in problem.detail
    assert "a good batch follows at offset 18" in problem.detail
    assert report.lost_bytes == 7 * batch_size()


def test_damage_just_before_the_last_batch_is_corruption_too(directory: Path) -> None:
    overwrite(segment_paths(directory)[-1], 2 * batch_size() + 70, b"\xff")
    (problem,) = problems(directory)
    assert (problem.kind, problem.offset) == (ProblemKind.CORRUPT, 30)


def test_a_torn_segment_before_others_is_corruption(directory: Path) -> None:
    first = segment_paths(directory)[0]
    first.write_bytes(first.read_bytes()[:-5])
    (problem,) = problems(directory)
    assert problem.kind is ProblemKind.CORRUPT
    assert "a good batch follows at offset 12" in problem.detail


def test_a_segment_that_is_missing_is_a_gap_unless_gaps_are_allowed(directory: Path) -> None:
    segment_paths(directory)[1].unlink()
    (problem,) = problems(directory)
    assert problem.kind is ProblemKind.CORRUPT
    assert problem.detail.startswith("the segment before it ends at offset 12")
    assert problems(directory, allow_gaps=True) == []


def test_an_epoch_that_falls_is_corruption(directory: Path) -> None:
    write_segment(directory, 36, epoch=5)
    write_segment(directory, 48, epoch=4)
    (problem,) = problems(directory)
    assert "leader epoch 4 comes after 5" in problem.detail


@pytest.mark.parametrize(
    ("suffix", "position", "content", "detail"),
    [
        (".index", 4, b"\x00\x00\x00\x07", "no batch begins at position 7"),
        (".index", 0, b"\x00\x00\x00\x04", "ends at 5, not 4"),
        (".index", 0, b"\xff", "out of order"),
        (".timeindex", 7, b"\x02", "up to offset 5 the latest time is 5, not 2"),
        (".timeindex", 0, b"\x7f", "out of order"),
    ],
)
def test_an_index_that_is_wrong_is_named(
    directory: Path, suffix: str, position: int, content: bytes, detail: str
) -> None:
    path = segment_paths(directory)[0].with_suffix(suffix)
    overwrite(path, position, content)
    (problem,) = problems(directory)
    assert (problem.kind, problem.path) == (ProblemKind.INDEX, path)
    assert detail in problem.detail


def test_entries_beyond_the_end_of_a_segment_are_wrong(directory: Path) -> None:
    last = segment_paths(directory)[-1]
    last.write_bytes(last.read_bytes()[: 2 * batch_size()])
    assert [problem.detail for problem in problems(directory)] == [
        f"no batch begins at position {2 * batch_size()}",
        "there is no offset 32 in the segment",
    ]


def test_a_partition_and_a_data_directory_are_both_understood(data: Path, directory: Path) -> None:
    (data / "empty-0").mkdir()
    assert partition_directories(directory) == [directory]
    assert partition_directories(data) == [directory]


def test_a_file_that_is_no_segment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.log").write_text("x")
    assert segment_paths(tmp_path) == []
    with pytest.raises(StorageError, match="not named as a segment"):
        check(FS, [tmp_path / "notes.log"], allow_gaps=False)


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("batch", [0, 2])
def test_repair_keeps_what_is_before_the_damage(directory: Path, data: Path, segment: int, batch: int) -> None:
    overwrite(segment_paths(directory)[segment], batch * batch_size() + 70, b"\xff")
    report = check(FS, segment_paths(directory), allow_gaps=False)
    repair(FS, report)
    after = check(FS, segment_paths(directory), allow_gaps=False)
    assert after.problems == []
    assert after.end_offset == report.end_offset == segment * SEGMENT_RECORDS + batch * RECORDS_PER_BATCH
    assert {path.stem for path in directory.iterdir()} == {path.stem for path in segment_paths(directory)}
    home = DataDirectory(data, FS)
    home.read_checkpoints()
    recovery_point = home.recovery_points[TopicPartition("orders", 0)]
    assert recovery_point == min(30, after.end_offset)
    assert home.recovery_points[TopicPartition("other", 0)] == 5


def test_repair_removes_wrong_indexes_and_nothing_else(directory: Path) -> None:
    before = {path.name for path in directory.iterdir()}
    wrong = segment_paths(directory)[0].with_suffix(".index")
    overwrite(wrong, 0, b"\xff")
    repair(FS, check(FS, segment_paths(directory), allow_gaps=False))
    assert {path.name for path in directory.iterdir()} == before - {wrong.name}


def test_repair_is_refused_while_a_broker_has_the_directory(directory: Path, data: Path) -> None:
    last = segment_paths(directory)[-1]
    last.write_bytes(last.read_bytes()[:-5])
    size = last.stat().st_size
    home = DataDirectory(data, FS)
    home.lock()
    try:
        with pytest.raises(StorageError, match="another process holds it"):
            repair(FS, check(FS, segment_paths(directory), allow_gaps=False))
    finally:
        home.release()
    assert last.stat().st_size == size


def test_a_copy_outside_of_a_data_directory_is_repaired_too(directory: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy-0"
    directory.rename(copy)
    overwrite(segment_paths(copy)[1], 70, b"\xff")
    repair(FS, check(FS, segment_paths(copy), allow_gaps=False))
    assert [path.name for path in segment_paths(copy)] == ["00000000000000000000.log"]
    assert not (tmp_path / ".lock").exists()
