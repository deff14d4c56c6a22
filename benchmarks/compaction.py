"""How fast a log is compacted, in how much memory, and what producers notice of it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Settings, produce, rotated, running, settle
from benchmarks.report import AtLeastTimes, Row
from benchmarks.targets import HOST, TOPIC, Minikafka
from benchmarks.wire import ask, check, connect, produce_frame, receive_frame
from minikafka.clock import SystemClock
from minikafka.config.topic import TopicConfig
from minikafka.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from minikafka.records.batch import RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.storage.append import PreparedBatch
from minikafka.storage.compaction import CompactionMeans
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.environment import LogEnvironment
from minikafka.storage.fs import OsFileSystem
from minikafka.storage.log import Log
from minikafka.storage.opening import create_log
from minikafka.storage.segment_cache import SegmentCache
from minikafka.types import TopicPartition

_TABLE = "table"
_LOG_BYTES = 256_000_000
_SEGMENT_BYTES = 64 * 1024 * 1024
_BATCH_RECORDS = 160
_RECORD_BYTES = 100
_BATCHES = 400
_KEYS = 200_000
_DEDUPE_BUFFER_BYTES = 128 * 1024 * 1024
_SMALL_BUFFER_BYTES = 8 * 1024 * 1024
_CREATE_TOPICS_VERSION = 5
_WITH, _WITHOUT = "while a log is compacted", "without"


def measure_compaction(settings: Settings) -> list[Row]:
    """One pass over a log, and a producer beside a pass that never ends."""
    return [*_measure_speed(settings), _measure_beside(settings)]


def _measure_speed(settings: Settings) -> list[Row]:
    speed = Row("compaction: 100-byte records", "MB/s", 1)
    memory = Row("compaction: most memory", "MB", 1)
    works = {
        "one pass": (Compression.NONE, _DEDUPE_BUFFER_BYTES),
        "8 MiB buffer": (Compression.NONE, _SMALL_BUFFER_BYTES),
        "zstd": (Compression.ZSTD, _DEDUPE_BUFFER_BYTES),
    }
    for run in range(settings.runs):
        for name in rotated(list(works), run):
            codec, buffer_bytes = works[name]
            command = [sys.executable, "-m", "benchmarks.compaction", str(settings.directory / "log"), codec.name]
            done = subprocess.run([*command, str(buffer_bytes)], capture_output=True, text=True, check=True)
            mb_per_s, megabytes = map(float, done.stdout.split())
            speed.add(name, mb_per_s)
            memory.add(name, megabytes)
        settings.tell(f"compaction, run {run + 1}: {speed.samples}")
    return [speed, memory]


def _measure_beside(settings: Settings) -> Row:
    row = Row("compaction: produce meanwhile", "MB/s", 0)
    row.goals = {_WITHOUT: AtLeastTimes(0.7)}
    for run in range(settings.runs):
        for name in rotated([_WITH, _WITHOUT], run):
            broker = _Compacting(settings.directory / "beside", is_cleaning=False)
            with running(broker):
                _fill_table(broker)
                broker.stop()
                broker.is_cleaning = name == _WITH
                broker.start()
                settle(settings.directory, 2 * settings.max_bytes)
                result = produce(settings, broker)
            row.add(name, result.bytes / result.seconds / 1e6)
        settings.tell(f"beside compaction, run {run + 1}: {row.samples}")
    return row


class _Compacting(Minikafka):
    """A broker that begins to compact at once, or not at all."""

    def __init__(self, directory: Path, *, is_cleaning: bool) -> None:
        super().__init__(directory)
        self.is_cleaning = is_cleaning

    def command(self) -> Sequence[str]:
        """How to start it."""
        enabled = "true" if self.is_cleaning else "false"
        return [*super().command(), "-X", f"log.cleaner.enable={enabled}", "-X", "log.cleaner.backoff.ms=1"]


def _fill_table(broker: Minikafka) -> None:
    """Make a compacted topic that needs more compaction than one load lasts."""
    configs = [
        CreatableTopicConfig(name="cleanup.policy", value="compact"),
        CreatableTopicConfig(name="segment.bytes", value=str(_SEGMENT_BYTES)),
    ]
    wanted = CreatableTopic(name=_TABLE, num_partitions=1, replication_factor=1, assignments=[], configs=configs)
    with connect(HOST, broker.port) as sock:
        request = CreateTopicsRequest(topics=[wanted], timeout_ms=10_000)
        answer = ask(sock, request, _CREATE_TOPICS_VERSION, CreateTopicsResponse)
        check(answer.topics[0].error_code, f"creating {_TABLE}")
        time.sleep(0.5)
        frames = [produce_frame(_TABLE, 0, batch) for batch in _batches(Compression.NONE)]
        sent_bytes = 0
        while sent_bytes < 4 * _LOG_BYTES:
            for frame in frames:
                sock.sendall(b"".join(frame))
                receive_frame(sock)
                sent_bytes += len(frame[1])


def _batches(codec: Compression) -> list[bytes]:
    chance = random.Random(1)
    now_ms = int(time.time() * 1000)
    batches = []
    for _ in range(_BATCHES):
        builder = RecordBatchBuilder(codec)
        for _ in range(_BATCH_RECORDS):
            key = b"user-%07d" % chance.randrange(_KEYS)
            builder.append(now_ms, key, chance.randbytes(_RECORD_BYTES // 2) * 2)
        batches.append(builder.build())
    return batches


def _compact_once(directory: Path, codec: Compression, buffer_bytes: int) -> None:
    """Make a log, compact it, and print the MB/s and the MB of memory that took."""
    log = _make_log(directory, codec)
    size_bytes = log.size_bytes
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak that making the log was
    before = _status_bytes("VmRSS")
    means = CompactionMeans(buffer_bytes, 512 * 1024, 64 * 1024 * 1024, lambda _: None)
    started = time.perf_counter()
    while (ticket := log.begin_compaction(log.log_end_offset, means)) is not None:
        while not ticket.is_done:
            ticket.run()
            log.end_compaction(ticket)
    seconds = time.perf_counter() - started
    print(size_bytes / seconds / 1e6, (_status_bytes("VmHWM") - before) / 1e6)


def _make_log(directory: Path, codec: Compression) -> Log:
    fs = OsFileSystem()
    fs.make_directory(directory)
    home = DataDirectory(directory, fs)
    environment = LogEnvironment(fs, SystemClock(), home, SegmentCache())
    config = replace(TopicConfig(), cleanup_policy=frozenset({"compact"}), segment_bytes=_SEGMENT_BYTES)
    log = create_log(environment, TopicPartition(TOPIC, 0), bytes(16), config)
    batches = [PreparedBatch(RecordBatch.parse(memoryview(batch))) for batch in _batches(codec)]
    for _ in range(_LOG_BYTES // sum(batch.batch.size for batch in batches)):
        for batch in batches:
            log.append_as_leader(batch, 0)
    log.roll()
    log.flush()
    home.save_recovery_points()
    return log


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    _where = Path(sys.argv[1])
    try:
        _compact_once(_where, Compression[sys.argv[2]], int(sys.argv[3]))
    finally:
        shutil.rmtree(_where, ignore_errors=True)
