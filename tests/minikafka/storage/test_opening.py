from __future__ import annotations

import pytest

from minikafka.errors import StorageError
from minikafka.storage.fs import read_file, write_fully
from minikafka.storage.opening import create_log, read_topic_id
from minikafka.types import ZERO_UUID, uuid_text
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, PARTITION, SMALL, TOPIC_ID, LogHarness

METADATA = DATA / "orders-0" / "partition.metadata"


def test_a_new_log_is_empty_and_knows_its_topic() -> None:
    fs = MemoryFileSystem()
    log = LogHarness(fs).log
    assert (log.log_start_offset, log.log_end_offset, log.size_bytes) == (0, 0, 0)
    assert log.topic_id == TOPIC_ID
    text = read_file(fs, METADATA).decode()
    assert text.startswith(f"version: 0\ntopic_id: {uuid_text(TOPIC_ID)}\ncrc32c ")


def test_making_a_log_waits_for_no_disk() -> None:
    fs = MemoryFileSystem()
    LogHarness(fs)
    assert fs.counts["fdatasync"] == fs.counts["sync_directory"] == 0


def test_the_topics_id_is_read_back() -> None:
    harness = LogHarness(MemoryFileSystem())
    assert harness.reopen().topic_id == TOPIC_ID


def test_kafkas_file_is_understood() -> None:
    fs = MemoryFileSystem()
    fs.make_directory(METADATA.parent)
    text = f"version: 0\ntopic_id: {uuid_text(TOPIC_ID)}\n"
    write_fully(fs.open(METADATA, create=True), (text.encode(),))
    assert read_topic_id(fs, METADATA.parent) == TOPIC_ID


@pytest.mark.parametrize("damage", ["missing", "empty", "zeros", "flipped", "short"])
def test_a_damaged_id_is_no_id(damage: str) -> None:
    fs = MemoryFileSystem()
    harness = LogHarness(fs)
    content = fs.content(METADATA)
    if damage == "missing":
        fs.unlink(METADATA)
    elif damage == "empty":
        content.clear()
    elif damage == "zeros":
        content[:] = bytes(len(content))
    elif damage == "flipped":
        content[25] ^= 1
    else:
        content[:] = b"version: 0\ntopic_id: abc\n"
    assert harness.reopen().topic_id == ZERO_UUID


def test_a_directory_that_is_there_is_not_taken_over() -> None:
    harness = LogHarness(MemoryFileSystem())
    with pytest.raises(StorageError, match="exists already"):
        create_log(harness.environment, PARTITION, TOPIC_ID, SMALL)


@pytest.mark.parametrize("operation", ["writev", "open"])
def test_a_log_that_cannot_be_made_leaves_nothing(operation: str) -> None:
    fs = MemoryFileSystem()
    harness = LogHarness(fs)
    harness.log.delete()
    fs.fail(operation, reason="No space left on device")
    with pytest.raises(StorageError, match="No space"):
        create_log(harness.environment, PARTITION, TOPIC_ID, SMALL)
    assert not fs.exists(METADATA.parent)
    create_log(harness.environment, PARTITION, TOPIC_ID, SMALL)
