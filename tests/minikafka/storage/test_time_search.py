from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.errors import StorageError
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.storage.append import prepare
from minikafka.storage.log import Log
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import SMALL, LogHarness, append, make_batch, prepared


def log_of(*batches: tuple[int, ...]) -> Log:
    log = LogHarness(MemoryFileSystem()).log
    for times in batches:
        append(log, *(b"v" * 30 for _ in times), timestamps_ms=times)
    return log


def test_the_first_record_that_is_not_earlier_is_found() -> None:
    log = log_of((100, 110), (105, 120), (90,), (130,))
    found = [log.find_by_timestamp(t, log.log_end_offset) for t in (0, 100, 101, 111, 121, 131)]
    assert [f and (f.timestamp_ms, f.offset) for f in found] == [
        (100, 0), (100, 0), (110, 1), (120, 3), (130, 5), None,
    ]  # fmt: skip


def test_every_time_is_found_through_the_sparse_index() -> None:
    log = log_of(*((1000 + 10 * n, 1005 + 10 * n) for n in range(60)))
    assert len(log._segments) > 3
    for timestamp_ms in range(990, 1596):
        found = log.find_by_timestamp(timestamp_ms, log.log_end_offset)
        assert found is not None
        assert found.offset == max(0, -((1000 - timestamp_ms) // 5))


def test_times_out_of_order_do_not_hide_a_record() -> None:
    log = log_of((500,), (100,), (400,), (600,), (550,))
    assert log.find_by_timestamp(450, 5) == (500, 0, 0)
    assert log.find_by_timestamp(501, 5) == (600, 3, 0)


def test_the_epoch_of_the_record_is_told() -> None:
    log = log_of((100,))
    append(log, b"x", timestamps_ms=(200,), epoch=7)
    assert log.find_by_timestamp(150, 2) == (200, 1, 7)
    assert log.find_max_timestamp(2) == (200, 1, 7)


def test_records_at_or_above_the_bound_are_not_found() -> None:
    log = log_of((100, 110), (120,))
    assert log.find_by_timestamp(115, 2) is None
    assert log.find_by_timestamp(105, 1) is None
    assert log.find_by_timestamp(105, 2) is not None


def test_deleted_records_are_not_found() -> None:
    log = log_of((100, 110), (120,))
    log.delete_records(1)
    assert log.find_by_timestamp(0, 3) == (110, 1, 0)


@pytest.mark.parametrize("codec", list(Compression))
def test_compressed_batches_are_looked_into(codec: Compression) -> None:
    log = LogHarness(MemoryFileSystem(), replace(SMALL, segment_bytes=10_000)).log
    log.append_as_leader(prepared(make_batch(*[b"v"] * 50, codec=codec)), 0)
    assert log.find_by_timestamp(1033, 50) == (1033, 33, 0)


def test_log_append_time_counts_for_every_record() -> None:
    log = LogHarness(MemoryFileSystem(), replace(SMALL, message_timestamp_type="LogAppendTime")).log
    builder = RecordBatchBuilder()
    for timestamp_ms in (5, 6, 7):
        builder.append(timestamp_ms, None, b"v")
    log.append_as_leader(prepare(builder.build(), log.config, 9_000), 0)
    assert log.find_by_timestamp(8, 3) == (9_000, 0, 0)
    assert log.find_max_timestamp(3) == (9_000, 0, 0)


def test_the_latest_record_is_the_first_of_several() -> None:
    log = log_of((100, 300, 200), (300,), (250,))
    assert log.find_max_timestamp(5) == (300, 1, 0)


def test_the_latest_record_is_within_the_bounds() -> None:
    log = log_of((100, 400, 200), (300,), (500,))
    assert log.find_max_timestamp(4) == (400, 1, 0)
    log.delete_records(2)
    assert log.find_max_timestamp(4) == (300, 3, 0)
    log.delete_records(4)
    assert log.find_max_timestamp(4) is None
    assert log.find_max_timestamp(5) == (500, 4, 0)


def test_without_times_there_is_no_latest_record() -> None:
    log = log_of((-1,), (-1,))
    assert log.find_max_timestamp(2) is None
    assert log.find_by_timestamp(0, 2) is None


def test_an_empty_log_has_nothing() -> None:
    log = log_of()
    assert log.find_max_timestamp(0) is None
    assert log.find_by_timestamp(0, 0) is None


def test_a_wrong_time_index_is_rebuilt() -> None:
    fs = MemoryFileSystem()
    harness = LogHarness(fs)
    for number in range(12):
        append(harness.log, b"v" * 60, timestamps_ms=(100 + number,))
    harness.log.close()
    path = harness.directory / f"{0:020d}.timeindex"
    fs.content(path)[7] ^= 1  # the first time is another
    log = harness.reopen(was_clean=True)
    for number in range(12):
        assert log.find_by_timestamp(100 + number, 12) == (100 + number, number, 0)


def test_an_offline_log_is_not_searched() -> None:
    log = log_of((100,))
    log.mark_offline("broken")
    with pytest.raises(StorageError, match="broken"):
        log.find_by_timestamp(0, 1)
    with pytest.raises(StorageError, match="broken"):
        log.find_max_timestamp(1)
