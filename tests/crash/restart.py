"""Starting on what a crash has left, and looking at what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from minikafka.config.topic import TopicConfig
from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.records.record import Record, iter_records
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition
from tests.crash.producing import producer_faults
from tests.crash.promises import Found, FoundLog
from tests.crash.recording_fs import Image, RecordingFileSystem
from tests.crash.states import Crash, CrashState, durable_image, power_losses, process_deaths
from tests.crash.workload import BROKER_ID, CLUSTER_ID, DATA
from tests.support.clock import ManualClock
from tests.support.storage import make_batch, prepared

_MAX_BYTES = 1 << 20
_LOOKED_FOR = 2
"""How many batches of a log are looked for by offset and by time."""
_LATER_MS = 4_000_000_000_000


def restart(state: CrashState, config: TopicConfig, random: Random) -> Found:
    """Start on the disk that a crash has left; then, one time in two, crash again and start once more.

    The second start must find what the first one did; where it does not, that is among the faults.
    """
    fs = RecordingFileSystem(state.image, boot=int(state.crash is Crash.POWER))
    manager = _open(fs, config)
    found = _look_at(manager, random)
    after = random.choice(_NEXT)
    if after is None or found.refused:
        return found
    wanted = found.logs
    if after == _DIED_AT_ONCE:
        again = _died_at_once(fs, config, random)
    elif after == _DIED_WHILE_RECOVERING:
        again = _died_while_recovering(state, fs, config, random)
    else:
        wanted = _write_more(manager, found.logs)
        again = _power_lost(state.image, fs, config, random)
    faults = list(found.faults)
    faults += (f"{fault}, at the second start ({after})" for fault in _differences(wanted, again))
    return Found(found.logs, found.refused, tuple(faults))


_DIED_AT_ONCE = "the process died at once"
_DIED_WHILE_RECOVERING = "it was interrupted while recovering"
_POWER_LOST_LATER = "the power went after a flush"
_NEXT = (_DIED_AT_ONCE, _DIED_WHILE_RECOVERING, _POWER_LOST_LATER, None, None, None)


def _open(fs: RecordingFileSystem, config: TopicConfig) -> LogManager:
    manager = LogManager([DATA], fs, ManualClock(), config)
    manager.lock()
    manager.claim(CLUSTER_ID, BROKER_ID)
    manager.open_all()
    return manager


def _look_at(manager: LogManager, random: Random) -> Found:
    logs: dict[TopicPartition, FoundLog] = {}
    faults: list[str] = []
    for partition, log in manager.logs.items():
        batches = _read(log)
        logs[partition] = FoundLog(
            log.topic_id, log.log_start_offset, log.log_end_offset, tuple(bytes(batch.view) for batch in batches)
        )
        faults += (f"{partition}: {fault}" for fault in _contradictions(log, batches, random))
        faults += (f"{partition}: {fault}" for fault in producer_faults(log, batches))
        cleaned_offset = manager.directories[0].cleaned_offsets.get(partition, 0)
        faults += (f"{partition}: {fault}" for fault in _not_compacted(batches, cleaned_offset))
    return Found(logs, dict(manager.offline_partitions), tuple(faults))


def _read(log: Log) -> list[RecordBatch]:
    batches: list[RecordBatch] = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        content = log.read(offset, _MAX_BYTES, log.log_end_offset, min_one_batch=True).read()
        batches += iter_batches(memoryview(content))
        if not content or batches[-1].last_offset < offset:
            break
        offset = batches[-1].last_offset + 1
    return batches


def _contradictions(log: Log, batches: list[RecordBatch], random: Random) -> Iterator[str]:
    """Where looking for a batch, by offset, by epoch or by time, leads elsewhere than reading from the start."""
    next_offset = batches[0].base_offset if batches else log.log_end_offset
    may_have_gaps = "compact" in log.config.cleanup_policy
    for batch in batches:
        if batch.base_offset != next_offset and not (may_have_gaps and batch.base_offset > next_offset):
            yield f"a batch begins at {batch.base_offset}, {next_offset} is next"
        next_offset = batch.last_offset + 1
    if next_offset != log.log_end_offset:
        yield f"ends at {log.log_end_offset}, but its batches at {next_offset}"
    for batch in random.sample(batches, min(_LOOKED_FOR, len(batches))):
        offset = max(batch.base_offset, log.log_start_offset)
        if log.leader_epochs.epoch_at(offset) != batch.partition_leader_epoch:
            yield f"epoch {log.leader_epochs.epoch_at(offset)} at {offset}"
        if log.read(offset, 0, log.log_end_offset, min_one_batch=True).read() != batch.view:
            yield f"another batch is found at {offset}"
        record = next((record for record in _records(batch) if record.offset >= offset), None)
        if record is None:
            continue
        at_time = log.find_by_timestamp(record.timestamp_ms, log.log_end_offset)
        if at_time is None or at_time.offset != record.offset:
            yield f"{at_time} is found for the time of {record.offset}"


def _not_compacted(batches: list[RecordBatch], cleaned_offset: int) -> Iterator[str]:
    """Where the log has a key twice, although it says that it is compacted so far."""
    seen: set[bytes | None] = set()
    for batch in batches:
        for record in _records(batch):
            if record.offset >= cleaned_offset:
                return
            if record.key in seen:
                yield f"is compacted up to {cleaned_offset}, but has key {record.key!r} again at {record.offset}"
            seen.add(record.key)


def _records(batch: RecordBatch) -> Iterator[Record]:
    return iter_records(batch, budget_bytes=_MAX_BYTES)


def _died_at_once(fs: RecordingFileSystem, config: TopicConfig, random: Random) -> Found:
    fs.process_died()
    return _look_at(_open(fs, config), random)


def _died_while_recovering(state: CrashState, fs: RecordingFileSystem, config: TopicConfig, random: Random) -> Found:
    """What was left by the first crash is on the disk when the power had gone, so that it can go again."""
    boot = int(state.crash is Crash.POWER)
    if boot and random.random() < 0.5:
        left = random.choice(list(power_losses(state.image, fs.trace, random, samples=1)))
        boot = 2
    else:
        left = random.choice(list(process_deaths(state.image, fs.trace, random, cuts=2)))
    return _look_at(_open(RecordingFileSystem(left.image, boot), config), random)


def _write_more(manager: LogManager, logs: Mapping[TopicPartition, FoundLog]) -> dict[TopicPartition, FoundLog]:
    wanted = {}
    for partition, found in logs.items():
        log = manager.logs[partition]
        epoch = max(log.leader_epochs.latest_epoch, 0)
        batch = prepared(make_batch(b"one more", timestamps_ms=(_LATER_MS,)))
        content = batch.batch.stamped_prefix(log.log_end_offset, epoch) + bytes(batch.batch.view[16:])
        log.append_as_leader(batch, epoch)
        log.flush()
        wanted[partition] = FoundLog(
            found.topic_id, found.start_offset, found.end_offset + 1, (*found.batches, content)
        )
    return wanted


def _power_lost(image: Image, fs: RecordingFileSystem, config: TopicConfig, random: Random) -> Found:
    return _look_at(_open(RecordingFileSystem(durable_image(image, fs.trace), boot=2), config), random)


def _differences(wanted: Mapping[TopicPartition, FoundLog], again: Found) -> Iterator[str]:
    yield from again.faults
    for partition, reason in again.refused.items():
        yield f"{partition} is refused: {reason}"
    for partition in wanted.keys() | again.logs.keys():
        if wanted.get(partition) != again.logs.get(partition) and partition not in again.refused:
            yield f"{partition} is {_summary(again.logs.get(partition))}, was {_summary(wanted.get(partition))}"


def _summary(log: FoundLog | None) -> str:
    return "gone" if log is None else f"{log.start_offset}..{log.end_offset} of {log.topic_id.hex()[:4]}"
