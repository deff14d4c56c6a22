"""Small text files that are replaced whole: checkpoints in Kafka's formats.

::

    0                       version
    2                       number of entries
    payments 0 1200         one entry a line; here topic, partition and offset
    payments 1 900
    crc32c 5f3a0c11         of all the lines before it; Kafka writes none, and files without it are read too

A new version is written beside the old one, forced to disk and renamed over it, so that a crash leaves the one or the
other.  A file that is damaged all the same reads as if it were missing: whoever asks has a safe default.

Source: Kafka, server/common/CheckpointFile.java; the last line is our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from minikafka.errors import StorageError
from minikafka.records.crc32c import crc32c
from minikafka.storage.filenames import TEMPORARY_SUFFIX
from minikafka.storage.fs import FileSystem, failpoint, read_file, write_fully
from minikafka.types import TopicPartition

_VERSION = "0"
_CRC_KEY = "crc32c "


def encode(lines: Iterable[str], comment: str = "") -> bytes:
    """The lines and the CRC line that guards them.

    Args:
        lines: Without line ends.
        comment: What the CRC line begins with, where other readers must be made to skip it.
    """
    text = "".join(f"{line}\n" for line in lines)
    return f"{text}{comment}{_CRC_KEY}{crc32c(text.encode()):08x}\n".encode()


def decode(content: bytes, comment: str = "") -> list[str] | None:
    """The lines without the CRC line; None when it does not match, or the text is cut off or no text at all."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    lines = text.splitlines()
    if not text.endswith("\n") or not lines:
        return None
    if comment + _CRC_KEY not in lines[-1]:
        return lines
    return lines[:-1] if encode(lines[:-1], comment) == content else None


def write(fs: FileSystem, path: Path, lines: Iterable[str], comment: str = "") -> None:
    """Replace a checkpoint; it is on the disk when this returns.

    Raises:
        StorageError: The old file is still in place, or the new one is but may not survive a power loss.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    file = fs.open(temporary, create=True)
    try:
        file.truncate(0)
        write_fully(file, (encode(lines, comment),))
        file.fdatasync()
    finally:
        file.close()
    failpoint("checkpoint.before_rename")
    fs.rename(temporary, path)
    fs.sync_directory(path.parent)


def read(fs: FileSystem, path: Path, comment: str = "") -> list[str] | None:
    """The lines of a checkpoint; None when it is missing, unreadable or damaged."""
    try:
        content = read_file(fs, path)
    except StorageError:
        return None
    return decode(content, comment)


def entry_lines(entries: Sequence[str]) -> list[str]:
    """A whole checkpoint of the common kind: version, count, entries."""
    return [_VERSION, str(len(entries)), *entries]


def parse_entries(lines: Sequence[str] | None) -> list[list[str]] | None:
    """The fields of each entry; None when the version or the count is not as :func:`entry_lines` writes them."""
    if lines is None or len(lines) < 2 or lines[0] != _VERSION or lines[1] != str(len(lines) - 2):
        return None
    return [line.split(" ") for line in lines[2:]]


def offset_lines(offsets: Mapping[TopicPartition, int]) -> list[str]:
    """A checkpoint of one offset for each partition."""
    return entry_lines([f"{topic} {partition} {offset}" for (topic, partition), offset in sorted(offsets.items())])


def read_offsets(fs: FileSystem, path: Path) -> dict[TopicPartition, int] | None:
    """The offsets that :func:`offset_lines` laid out; None when the file is missing or damaged."""
    entries = parse_entries(read(fs, path))
    if entries is None:
        return None
    try:
        return {TopicPartition(topic, int(partition)): int(offset) for topic, partition, offset in entries}
    except ValueError:
        return None
