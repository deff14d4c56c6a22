from __future__ import annotations

import pytest

from minikafka.errors import StorageError
from minikafka.storage.batch_headers import CorruptSegment, read_header
from minikafka.storage.segment import Segment, TornSegment
from minikafka.storage.transaction_index import AbortedTransaction
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, make_batch

LOG = DATA / "00000000000000000000.log"
INDEX = DATA / "00000000000000000000.index"


def new_segment() -> tuple[MemoryFileSystem, Segment]:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    return fs, Segment.create(fs, DATA, 0, 100, now_ms=5)


def add(segment: Segment, size: int = 60, *, count: int = 1, timestamp_ms: int = 1000) -> bytes:
    values = [bytes(size)] * count
    batch = make_batch(*values, timestamps_ms=(timestamp_ms,) * count, base_offset=segment.end_offset)
    last_offset = segment.end_offset + count - 1
    segment.append(batch[:16], batch[16:], len(batch), last_offset=last_offset, max_timestamp_ms=timestamp_ms)
    return batch


def full_segment(batches: int = 10) -> tuple[MemoryFileSystem, Segment]:
    fs, segment = new_segment()
    for number in range(batches):
        add(segment, count=2, timestamp_ms=1000 + number)
    return fs, segment


def test_a_batch_is_written_in_one_call() -> None:
    fs, segment = new_segment()
    fs.counts.clear()
    batch = add(segment, count=3)
    assert fs.counts["writev"] == 1
    assert bytes(fs.content(LOG)) == batch
    assert (segment.size, segment.end_offset) == (len(batch), 3)


@pytest.mark.parametrize("taken", [1, 15, 16, 17, 100])
def test_a_short_write_is_finished(taken: int) -> None:
    fs, segment = new_segment()
    first = add(segment)
    fs.max_write = taken
    second = add(segment)
    assert bytes(fs.content(LOG)) == first + second
    assert segment.end_offset == 2


@pytest.mark.parametrize("taken", [0, 1, 16, 90])
def test_a_failed_write_leaves_nothing_behind(taken: int) -> None:
    fs, segment = new_segment()
    first = add(segment)
    fs.fail("writev", short=taken)
    fs.fail("writev", nth=2, reason="No space left on device")
    with pytest.raises(StorageError, match="No space"):
        add(segment)
    assert bytes(fs.content(LOG)) == first
    assert (segment.size, segment.end_offset) == (len(first), 1)
    second = add(segment)
    assert bytes(fs.content(LOG)) == first + second


def test_a_write_that_cannot_be_taken_back_is_told_apart() -> None:
    fs, segment = new_segment()
    add(segment)
    fs.fail("writev", short=20)
    fs.fail("writev", nth=2)
    fs.fail("truncate")
    with pytest.raises(TornSegment):
        add(segment)
    assert segment.end_offset == 1


def test_nothing_is_written_when_the_indexes_cannot_be_loaded() -> None:
    fs, segment = full_segment()
    segment.save_indexes()
    segment.release()
    fs.content(INDEX)[:] = b"garbage garbage garbage "
    fs.content(LOG)[40] ^= 1
    fs.content(LOG)[16] ^= 1
    size = segment.size
    with pytest.raises(CorruptSegment):
        add(segment)
    assert len(fs.content(LOG)) == size


def test_a_new_segment_refuses_to_replace_another() -> None:
    fs, _ = new_segment()
    with pytest.raises(StorageError, match="exists"):
        Segment.create(fs, DATA, 0, 100, now_ms=5)


@pytest.mark.parametrize("offset", range(20))
def test_every_offset_is_found(offset: int) -> None:
    _, segment = full_segment()
    header = segment.find_batch(offset)
    assert header is not None
    assert header.base_offset == offset - offset % 2


def test_beyond_the_end_nothing_is_found() -> None:
    _, segment = full_segment()
    assert segment.find_batch(20) is None


@pytest.mark.parametrize("damage", ["missing", "zeros", "other", "shifted"])
def test_a_wrong_index_is_rebuilt(damage: str) -> None:
    fs, segment = full_segment()
    segment.save_indexes()
    whole = bytes(fs.content(INDEX))
    segment.release()
    if damage == "missing":
        fs.unlink(INDEX)
    else:
        fs.content(INDEX)[:] = {
            "zeros": bytes(len(whole)),
            "other": bytes([0, 0, 0, 1, 0, 0, 0, 9]),
            "shifted": whole[:4] + bytes([0, 0, 0, 1]) + whole[8:],
        }[damage]
    for offset in range(20):
        header = segment.find_batch(offset)
        assert header is not None
        assert header.base_offset == offset - offset % 2
    assert segment.indexes.offsets.to_bytes() == whole


def test_damage_without_an_index_to_blame_is_reported() -> None:
    fs, segment = full_segment()
    fs.content(LOG)[16] = 9
    with pytest.raises(CorruptSegment, match="position 0"):
        segment.find_batch(0)


def test_damage_under_an_index_entry_is_reported() -> None:
    fs, segment = full_segment()
    entry = segment.indexes.offsets.entry(2)
    fs.content(LOG)[entry.position + 16] = 9
    with pytest.raises(CorruptSegment, match=f"position {entry.position}"):
        segment.find_batch(entry.offset)


@pytest.mark.parametrize("limit", [0, 100, 190, 500, 1000, 1500])
def test_a_cut_is_between_two_batches(limit: int) -> None:
    _, segment = full_segment()
    begins = [header.position for header in segment.headers()]
    cut = segment.cut(0, limit)
    if cut is None:
        assert limit < begins[1]
    else:
        assert 0 < cut.position <= limit
        header = segment.find_batch(cut.next_offset)
        assert header is not None
        assert header.position == cut.position


def test_a_cut_within_one_distance_of_the_index_walks() -> None:
    _, segment = full_segment()
    entry = segment.indexes.offsets.entry(0)
    after = read_header(segment.file, entry.position, segment.size)
    assert segment.cut(entry.position, after.end_position) == (after.end_position, after.last_offset + 1)
    assert segment.cut(entry.position, after.end_position - 1) is None


def test_a_wrong_index_does_not_cut_within_a_batch() -> None:
    fs, segment = full_segment()
    segment.save_indexes()
    segment.release()
    fs.content(INDEX)[4:8] = bytes([0, 0, 0, 250])
    del fs.content(INDEX)[8:]
    cut = segment.cut(0, 400)
    assert cut is not None
    assert cut.position in {header.position for header in segment.headers()}


def test_the_last_batch_is_found_from_the_last_entry() -> None:
    fs, segment = full_segment(50)
    segment.save_indexes()
    segment.release()
    fs.counts.clear()
    assert segment.last_batch().last_offset == 99
    assert fs.counts["pread"] < 8


def test_a_small_segment_needs_no_index_to_find_its_end() -> None:
    fs, segment = new_segment()
    add(segment, size=10)
    segment.release()
    fs.counts.clear()
    assert segment.last_batch().last_offset == 0
    assert fs.counts["open"] == 1


def test_a_torn_end_is_noticed() -> None:
    fs, segment = full_segment()
    segment.save_indexes()
    segment.release()
    del fs.content(LOG)[-5:]
    segment.size -= 5
    with pytest.raises(CorruptSegment):
        segment.last_batch()


@pytest.mark.parametrize("kept", range(10))
def test_truncation_keeps_segment_and_indexes_as_if_no_more_had_come(kept: int) -> None:
    fs, segment = full_segment()
    _, shorter = full_segment(kept)
    header = segment.find_batch(2 * kept)
    assert header is not None
    fs.calls.clear()
    segment.truncate_to(header)
    assert [name for name, _ in fs.calls] == ["truncate", "fdatasync"]
    assert (segment.size, segment.end_offset) == (shorter.size, shorter.end_offset)
    assert segment.latest == shorter.latest
    assert segment.indexes.offsets.to_bytes() == shorter.indexes.offsets.to_bytes()
    assert segment.first_timestamp_ms == shorter.first_timestamp_ms


@pytest.mark.parametrize("has_index", [True, False])
def test_where_the_batch_before_another_ends_is_found(has_index: bool) -> None:
    _, segment = full_segment()
    if not has_index:
        segment.indexes.offsets.truncate_to(0)
    for kept in range(10):
        header = segment.find_batch(2 * kept)
        assert header is not None
        assert segment.end_before(header) == 2 * kept


def test_the_age_counts_from_the_first_batch_also_after_a_restart() -> None:
    _, segment = full_segment()
    segment.release()
    again = Segment(segment._fs, DATA, 0, size=segment.size, index_interval_bytes=100, created_ms=0)
    assert again.first_timestamp_ms == segment.first_timestamp_ms == 1000


def test_the_latest_time_is_known_without_loading_the_indexes() -> None:
    fs, segment = full_segment(50)
    segment.save_indexes()
    again = Segment(fs, DATA, 0, size=segment.size, index_interval_bytes=100, created_ms=0)
    assert again.latest == segment.latest == (1049, 99)
    assert again.memory_bytes == 0
    fs.unlink(DATA / "00000000000000000000.timeindex")
    again = Segment(fs, DATA, 0, size=segment.size, index_interval_bytes=100, created_ms=0)
    assert again.latest == (1049, 99)


def test_an_empty_segment_has_no_first_timestamp() -> None:
    _, segment = new_segment()
    assert segment.first_timestamp_ms == -1
    assert segment.latest == (-1, 0)


def test_a_file_in_use_outlives_its_segment() -> None:
    fs, segment = full_segment()
    file = segment.file
    content = bytes(fs.content(LOG))
    segment.save_indexes()
    segment.unlink()
    assert fs.files() == []
    assert file.pread(len(content), 0) == content


def test_the_records_go_before_their_indexes() -> None:
    fs, segment = full_segment()
    segment.save_indexes()
    fs.fail("unlink", nth=2)
    with pytest.raises(StorageError):
        segment.unlink()
    assert not fs.exists(LOG)


def test_indexes_that_cannot_be_saved_do_no_harm() -> None:
    fs, segment = full_segment()
    fs.fail("writev", path_part="index", times=9)
    assert segment.save_indexes() == ()
    assert segment.has_unsaved_indexes


def test_aborted_transactions_stay_when_the_segment_is_released() -> None:
    fs, segment = new_segment()
    assert segment.aborted == ()
    segment.add_aborted(AbortedTransaction(7, 1, 3, 4))
    segment.add_aborted(AbortedTransaction(8, 2, 5, 6))
    segment.release()
    assert [entry.producer_id for entry in segment.aborted] == [7, 8]
    segment.forget_aborted(5)
    segment.release()
    assert [entry.producer_id for entry in segment.aborted] == [7]
    found = Segment(fs, DATA, 0, size=0, index_interval_bytes=100, created_ms=0)
    assert list(found.aborted) == list(segment.aborted)


def test_without_aborted_transactions_no_file_is_looked_for_twice() -> None:
    fs, _ = new_segment()
    found = Segment(fs, DATA, 0, size=0, index_interval_bytes=100, created_ms=0)
    found.forget_aborted(0)
    assert found.aborted == ()
    fs.calls.clear()
    assert found.aborted == ()
    assert fs.calls == []
    assert not fs.exists(DATA / "00000000000000000000.txnindex")


def test_a_new_segment_has_nothing_of_one_that_was_there_before() -> None:
    fs, segment = new_segment()
    segment.add_aborted(AbortedTransaction(7, 1, 3, 4))
    fs.unlink(LOG)
    again = Segment.create(fs, DATA, 0, 100, now_ms=5)
    assert again.aborted == ()
    again.add_aborted(AbortedTransaction(8, 2, 5, 6))
    again.release()
    assert [entry.producer_id for entry in again.aborted] == [8]


def test_all_files_of_a_segment_are_removed_with_it() -> None:
    fs, segment = full_segment()
    segment.save_indexes()
    segment.add_aborted(AbortedTransaction(7, 1, 3, 4))
    fs.open(DATA / "00000000000000000000.snapshot", create=True)
    segment.unlink()
    assert fs.files() == []
