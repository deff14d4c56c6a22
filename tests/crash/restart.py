"""Starting on what a crash has left, and looking at what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from random import Random

from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.storage.log import Log
from minikafka.types import TopicPartition
from tests.crash.producing import producer_faults
from tests.crash.promises import Found, FoundLog, records_of
from tests.crash.recording_fs import Image, RecordingFileSystem
from tests.crash.starts import Starts
from tests.crash.states import Crash, CrashState, durable_image, power_losses, process_deaths
from tests.support.storage import make_batch, prepared

_MAX_BYTES = 1 << 20
_LOOKED_FOR = 4
"""How many batches of a log are looked for by offset and by time."""
_LATER_MS = 4_000_000_000_000


def restart(state: CrashState, starts: Starts, random: Random) -> Found:
    """Start on the disk that a crash has left; then, one time in two, crash again and start once more.

    The second start must find what the first one did; where it does not, that is among the faults.
    """
    fs = RecordingFileSystem(state.image, boot=int(state.crash is Crash.POWER))
    start = starts.start(fs)
    found = start.found
    after = random.choice(_NEXT)
    if after is None or found.refused:
        return found
    wanted = found.logs
    if after == _DIED_AT_ONCE:
        left = RecordingFileSystem(Image(fs.directories, fs.files), int(state.crash is Crash.POWER))
    elif after == _DIED_WHILE_RECOVERING:
        left = _died_while_recovering(state, fs, random)
    else:
        wanted = start.write()
        left = RecordingFileSystem(durable_image(state.image, fs.trace), boot=2)
    faults = list(found.faults)
    faults += (f"{fault}, at the second start ({after})" for fault in _differences(wanted, starts.start(left).found))
    return Found(found.logs, found.refused, tuple(faults))


_DIED_AT_ONCE = "the process died at once"
_DIED_WHILE_RECOVERING = "it was interrupted while recovering"
_POWER_LOST_LATER = "the power went after a flush"
_NEXT = (_DIED_AT_ONCE, _DIED_WHILE_RECOVERING, _POWER_LOST_LATER, None, None, None)


def look_at(log: Log, cleaned_offset: int, random: Random) -> tuple[FoundLog, Iterator[str]]:
    """What a log holds that says it is compacted up to an offset, and where it contradicts itself."""
    batches = _read(log)
    found = FoundLog(
        log.topic_id, log.log_start_offset, log.log_end_offset, tuple(bytes(batch.view) for batch in batches)
    )
    return found, chain(
        _contradictions(log, batches, random), producer_faults(log, batches), _not_compacted(batches, cleaned_offset)
    )


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
        record = next((record for record in records_of(bytes(batch.view)) if record.offset >= offset), None)
        if record is None:
            continue
        at_time = log.find_by_timestamp(record.timestamp_ms, log.log_end_offset)
        if at_time is None or at_time.offset != record.offset:
            yield f"{at_time} is found for the time of {record.offset}"


def _not_compacted(batches: list[RecordBatch], cleaned_offset: int) -> Iterator[str]:
    """Where the log has a key twice, although it says that it is compacted so far."""
    seen: set[bytes | None] = set()
    for batch in batches:
        for record in records_of(bytes(batch.view)):
            if record.offset >= cleaned_offset:
                return
            if record.key in seen:
                yield f"is compacted up to {cleaned_offset}, but has key {record.key!r} again at {record.offset}"
            seen.add(record.key)


def _died_while_recovering(state: CrashState, fs: RecordingFileSystem, random: Random) -> RecordingFileSystem:
    """What was left by the first crash is on the disk when the power had gone, so that it can go again."""
    boot = int(state.crash is Crash.POWER)
    at = random.randint(0, len(fs.trace))
    done = fs.trace[:at]
    if boot and random.random() < 0.5:
        left = random.choice(list(power_losses(state.image, done, random, samples=1, since=at)))
        boot = 2
    else:
        left = random.choice(list(process_deaths(state.image, done, random, cuts=2, since=at)))
    return RecordingFileSystem(left.image, boot)


def write_more(log: Log, found: FoundLog) -> FoundLog:
    """Append a batch, force it to the disk, and return what the log holds then."""
    epoch = max(log.leader_epochs.latest_epoch, 0)
    batch = prepared(make_batch(b"one more", timestamps_ms=(_LATER_MS,)))
    content = batch.batch.stamped_prefix(log.log_end_offset, epoch) + bytes(batch.batch.view[16:])
    log.append_as_leader(batch, epoch)
    log.flush()
    return FoundLog(found.topic_id, found.start_offset, found.end_offset + 1, (*found.batches, content))


def _differences(wanted: Mapping[TopicPartition, FoundLog], again: Found) -> Iterator[str]:
    yield from again.faults
    for partition, reason in again.refused.items():
        yield f"{partition} is refused: {reason}"
    for partition in wanted.keys() | again.logs.keys():
        if wanted.get(partition) != again.logs.get(partition) and partition not in again.refused:
            yield f"{partition} is {_summary(again.logs.get(partition))}, was {_summary(wanted.get(partition))}"


def _summary(log: FoundLog | None) -> str:
    return "gone" if log is None else f"{log.start_offset}..{log.end_offset} of {log.topic_id.hex()[:4]}"
