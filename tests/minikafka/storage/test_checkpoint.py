from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.errors import StorageError
from minikafka.observability import failpoints
from minikafka.storage import checkpoint
from minikafka.storage.fs import write_fully
from minikafka.types import TopicPartition
from tests.support.memory_fs import MemoryFileSystem

PATH = Path("/data/recovery-point-offset-checkpoint")
OFFSETS = {TopicPartition("payments", 1): 900, TopicPartition("payments", 0): 1200}


@pytest.fixture
def fs() -> MemoryFileSystem:
    fs = MemoryFileSystem()
    fs.make_directory(PATH.parent)
    return fs


def put(fs: MemoryFileSystem, content: bytes) -> None:
    file = fs.open(PATH, create=True)
    file.truncate(0)
    write_fully(file, (content,))


def test_offsets_are_laid_out_as_kafka_does_with_a_crc_after_them() -> None:
    lines = checkpoint.encode(checkpoint.offset_lines(OFFSETS)).decode().splitlines()
    assert lines[:-1] == ["0", "2", "payments 0 1200", "payments 1 900"]
    assert lines[-1].startswith("crc32c ")


def test_offsets_are_read_back(fs: MemoryFileSystem) -> None:
    checkpoint.write(fs, PATH, checkpoint.offset_lines(OFFSETS))
    assert checkpoint.read_offsets(fs, PATH) == OFFSETS


def test_a_file_of_kafka_has_no_crc(fs: MemoryFileSystem) -> None:
    put(fs, b"0\n1\npayments 0 1200\n")
    assert checkpoint.read_offsets(fs, PATH) == {TopicPartition("payments", 0): 1200}


def test_a_missing_file_reads_as_none(fs: MemoryFileSystem) -> None:
    assert checkpoint.read_offsets(fs, PATH) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"0\n",
        b"1\n0\n",
        b"0\n2\na 0 1\n",
        b"0\n1\na 0\n",
        b"0\n1\na 0 x\n",
        b"0\n1\na 0 1 2\n",
        b"\xff\xfe",
        bytes(99),
    ],
)
def test_a_damaged_file_reads_as_none(fs: MemoryFileSystem, content: bytes) -> None:
    put(fs, content)
    assert checkpoint.read_offsets(fs, PATH) is None


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    content = bytearray(checkpoint.encode(checkpoint.offset_lines(OFFSETS)))
    position = data.draw(st.integers(0, content.rindex(b"crc32c") - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    assert checkpoint.decode(bytes(content)) is None


@given(st.integers(0, 60))
def test_no_cut_goes_unnoticed(size: int) -> None:
    content = checkpoint.encode(checkpoint.offset_lines(OFFSETS))
    cut = content[: min(size, len(content) - 1)]
    if not content[len(cut) :].startswith(b"crc32c"):  # then nothing but the CRC is missing
        assert checkpoint.parse_entries(checkpoint.decode(cut)) is None


def test_the_new_file_is_on_the_disk_before_it_replaces_the_old_one(fs: MemoryFileSystem) -> None:
    checkpoint.write(fs, PATH, ["old"])
    fs.calls.clear()
    checkpoint.write(fs, PATH, ["new"])
    assert [name for name, _ in fs.calls] == ["open", "truncate", "writev", "fdatasync", "rename", "sync_directory"]
    assert fs.calls[-1] == ("sync_directory", str(PATH.parent))


@pytest.mark.parametrize("operation", ["open", "truncate", "writev", "fdatasync", "rename"])
def test_a_failure_leaves_the_old_file(fs: MemoryFileSystem, operation: str) -> None:
    checkpoint.write(fs, PATH, ["old"])
    fs.fail(operation)
    with pytest.raises(StorageError):
        checkpoint.write(fs, PATH, ["new"])
    fs.heal()
    assert checkpoint.read(fs, PATH) == ["old"]


def test_a_failpoint_stands_before_the_new_file_counts(fs: MemoryFileSystem) -> None:
    checkpoint.write(fs, PATH, ["old"])
    with failpoints.active("checkpoint.before_rename:error"), pytest.raises(StorageError):
        checkpoint.write(fs, PATH, ["new"])
    assert checkpoint.read(fs, PATH) == ["old"]


def test_the_crc_can_be_hidden_from_readers_of_properties() -> None:
    content = checkpoint.encode(["version=1"], "#")
    assert content.startswith(b"version=1\n#crc32c ")
    assert checkpoint.decode(content, "#") == ["version=1"]
    assert checkpoint.decode(content.replace(b"=1", b"=2"), "#") is None
