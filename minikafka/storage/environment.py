"""What all the logs of a data directory share."""

from __future__ import annotations

from dataclasses import dataclass

from minikafka.clock import Clock
from minikafka.storage.append import DEFAULT_MAX_DECOMPRESSED_BYTES
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.fs import FileSystem
from minikafka.storage.segment_cache import SegmentCache


@dataclass(frozen=True, slots=True)
class LogEnvironment:
    """The directory, and what is used to work on it."""

    fs: FileSystem
    clock: Clock
    home: DataDirectory
    cache: SegmentCache
    max_decompressed_bytes: int = DEFAULT_MAX_DECOMPRESSED_BYTES
