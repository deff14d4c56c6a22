"""A data directory of which one file has been damaged, and a start on it.

What has to hold: the start is not refused; a partition is served or offline with a reason; what is served was written,
and has no gap, or whoever reads it is told of the damage; files that are hints, or that have a safe default, cost
nothing; another partition notices nothing; and a second start serves what the first one did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from random import Random

from minikafka.errors import KafkaError
from minikafka.records.batch import LOG_OVERHEAD, PREFIX_SIZE, iter_batches
from minikafka.storage.filenames import CLEAN_SHUTDOWN, LOCK, LOG_SUFFIX
from minikafka.storage.fs import read_file
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition
from tests.crash.recording_fs import EMPTY, Image, RecordingFileSystem
from tests.crash.states import process_deaths
from tests.crash.workload import BROKER_ID, CLUSTER_ID, DATA, POLICIES, Policy, record
from tests.support.clock import ManualClock

_PLAIN = [policy for policy in POLICIES if not policy.compacts]
_LENGTH_AT = 8
_WRITTEN_WHOLE = {"meta.properties", "partition.metadata"}
"""Without them a directory is anybody's, or a log of nobody knows which topic."""

DAMAGED = (b"damage is found when it is read",)
"""Instead of a log's batches: segments that were on the disk long ago are not all read at a start."""

Found = Mapping[TopicPartition, tuple[int, int, Sequence[bytes]]]
"""Start, end and batches of each log that is served."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to which file."""

    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.name}: {self.kind}"

    @property
    def is_of_segment(self) -> bool:
        """Whether records may be lost by it."""
        return self.name.endswith(LOG_SUFFIX)


def directories(seed: int) -> Iterator[tuple[Policy, Image]]:
    """What several brokers have left, each as its process died at some moment."""
    random = Random(f"directory {seed}")
    policy = random.choice(_PLAIN)
    states = [state.image for state in process_deaths(EMPTY, record(seed, policy), random, cuts=0)]
    for image in random.sample(states[len(states) // 4 :], 4):
        yield policy, image


def damage_and_start(policy: Policy, image: Image, random: Random) -> Damage:
    """Damage one file, start, and look.

    Raises:
        AssertionError: Something does not hold.
    """
    boot = random.choice((0, 1))
    wanted, _ = _start(image, policy, boot)
    damaged, damage, victim = _damaged(image, random)
    found, fs = _start(damaged, policy, boot)
    is_of_one = victim is not None
    for place, log in wanted.items():
        if is_of_one and (place != victim or not (damage.is_of_segment or damage.name in _WRITTEN_WHOLE)):
            assert found.get(place) == log, f"{damage} has changed {place}"
    for place, (_, _, batches) in found.items():
        assert place in wanted, f"{damage} has made {place}"
        if batches != DAMAGED:
            written = _written(image, place)
            assert all(batch in written for batch in batches), f"{damage}: {place} has what nobody wrote"
            _check_gapless(batches, damage)
        elif not damage.is_of_segment:
            raise AssertionError(f"{damage}: {place} is damaged")
    # After a clean stop the first start believes the files; the second one comes after a crash, and looks closer.
    if not RecordingFileSystem(image).exists(DATA / CLEAN_SHUTDOWN):
        again, _ = _start(Image(fs.directories, fs.files), policy, boot)
        assert all(again.get(place) == log for place, log in found.items()), f"{damage}: served otherwise later"
    return damage


def _written(image: Image, place: TopicPartition) -> set[bytes]:
    """All batches in the segments of a partition, those before its start included."""
    files = RecordingFileSystem(image)
    directory = DATA / f"{place.topic}-{place.partition}"
    found: set[bytes] = set()
    for entry in files.list_directory(directory):
        if entry.name.endswith(LOG_SUFFIX):
            content = read_file(files, directory / entry.name)
            found |= {bytes(batch.view) for batch in iter_batches(memoryview(content))}
    return found


def _check_gapless(batches: Sequence[bytes], damage: Damage) -> None:
    next_offset = None
    for content in batches:
        (batch,) = iter_batches(memoryview(content))
        assert next_offset in {None, batch.base_offset}, f"{damage} has left a gap before {batch.base_offset}"
        next_offset = batch.next_offset


def _start(image: Image, policy: Policy, boot: int) -> tuple[Found, RecordingFileSystem]:
    fs = RecordingFileSystem(image, boot)
    manager = LogManager([DATA], fs, ManualClock(), policy.config)
    manager.lock()
    manager.claim(CLUSTER_ID, BROKER_ID)
    manager.open_all()
    found = {place: (log.log_start_offset, log.log_end_offset, _read(log)) for place, log in manager.logs.items()}
    fs.process_died()
    return found, fs


def _read(log: Log) -> Sequence[bytes]:
    try:
        return _read_batches(log)
    except KafkaError:
        return DAMAGED


def _read_batches(log: Log) -> list[bytes]:
    batches: list[bytes] = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        content = log.read(offset, 1 << 20, log.log_end_offset, min_one_batch=True).read()
        for batch in iter_batches(memoryview(content)):
            batch.verify_crc()
            batches.append(bytes(batch.view))
            offset = batch.next_offset
        if not content:
            break
    return batches


def _damaged(image: Image, random: Random) -> tuple[Image, Damage, TopicPartition | None]:
    """The image, what was done to it, and the partition that it was done to; None when it was to all of them."""
    files = [
        (directory, name, inode)
        for directory, entries in image.directories.items()
        for name, inode in entries.items()
        if inode in image.files and name not in {LOCK, CLEAN_SHUTDOWN}
    ]
    directory, name, inode = random.choice(files)
    content = bytearray(image.files[inode])
    kinds = ["a byte flipped", "cut", "zeros", "garbage", "more"]
    kind = random.choice(kinds if name.endswith(LOG_SUFFIX) else [*kinds, "gone"])
    position = random.randrange(len(content) + 1)
    if kind == "a byte flipped" and content:
        position %= len(content)
        content[_checked(content, position) if name.endswith(LOG_SUFFIX) else position] ^= random.randrange(1, 256)
    elif kind == "cut":
        del content[_within_a_batch(content, position) if name.endswith(LOG_SUFFIX) else position :]
    elif kind == "zeros":
        content[position:] = bytes(len(content) - position)
    elif kind == "garbage":
        content[position:] = random.randbytes(len(content) - position)
    elif kind == "more":
        content += random.randbytes(random.randrange(300))
    entries = {number: dict(names) for number, names in image.directories.items()}
    contents = {**image.files, inode: bytes(content)}
    if kind == "gone":
        del entries[directory][name]
        del contents[inode]
    return Image(entries, contents), Damage(name, kind), _partition_of(image, directory)


def _checked(content: bytearray, position: int) -> int:
    """The position, or the next one that a checksum or a length guards: not within a base offset or a leader epoch."""
    start = 0
    for batch in iter_batches(memoryview(bytes(content))):
        if position < start + batch.size:
            within = position - start
            is_guarded = _LENGTH_AT <= within < LOG_OVERHEAD or within >= PREFIX_SIZE
            return position if is_guarded else start + PREFIX_SIZE
        start += batch.size
    return position


def _within_a_batch(content: bytearray, position: int) -> int:
    """The position, or the next one if a batch begins there: that whole batches are gone is for nobody to see.

    So it is in Kafka, of segments that were on the disk long ago.
    """
    starts = set()
    start = 0
    for batch in iter_batches(memoryview(bytes(content))):
        starts.add(start)
        start += batch.size
    return position + 1 if position in starts else position


def _partition_of(image: Image, directory: int) -> TopicPartition | None:
    for entries in image.directories.values():
        for name, inode in entries.items():
            topic, _, number = PurePath(name).name.rpartition("-")
            if inode == directory and topic and number.isdigit():
                return TopicPartition(topic, int(number))
    return None
