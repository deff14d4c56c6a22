"""Making the directory of a partition, and opening it again.

partition.metadata holds the id of the topic, so that the records of a deleted topic are never taken for those of a
new one of the same name::

    version: 0
    topic_id: m4bTnHdvSNyLZ8cUxZ5yGw
    crc32c 8d1f20aa

Source: Kafka, storage/internals/checkpoint/PartitionMetadataFile.java, which reads no further than the id.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from minikafka.config.topic import TopicConfig
from minikafka.errors import StorageError
from minikafka.observability import events
from minikafka.storage import checkpoint, filenames
from minikafka.storage.environment import LogEnvironment
from minikafka.storage.fs import File, FileSystem, remove_tree, write_fully
from minikafka.storage.leader_epochs import LeaderEpochs
from minikafka.storage.log import Log
from minikafka.storage.recovery import LastStop, LoadedLog, load_log
from minikafka.storage.segment import Segment
from minikafka.types import ZERO_UUID, TopicPartition, uuid_from_text, uuid_text

_TOPIC_ID = "topic_id: "


def create_log(
    environment: LogEnvironment, topic_partition: TopicPartition, topic_id: bytes, config: TopicConfig
) -> Log:
    """Make a partition's directory with an empty log in it; the first flush forces it to disk.

    Raises:
        StorageError: It exists, or cannot be made.
    """
    fs, home = environment.fs, environment.home
    home.prepare_for(topic_partition)
    directory = home.path / filenames.partition_directory(topic_partition)
    if fs.exists(directory):
        raise StorageError(f"{directory} exists already")
    try:
        fs.make_directory(directory)
        segment = Segment.create(fs, directory, 0, config.index_interval_bytes, environment.clock.now_ms())
        id_file = _write_topic_id(fs, directory, topic_id)
    except StorageError:
        with suppress(StorageError):
            remove_tree(fs, directory)
        raise
    loaded = LoadedLog([segment], LeaderEpochs(), log_start_offset=0, recovery_point=0)
    loaded.unsynced_files.append(id_file)
    loaded.unsynced_directories += (directory, home.path)
    log = Log(environment, topic_partition, topic_id, directory=directory, config=config, loaded=loaded)
    events.record(events.PartitionCreated(*topic_partition, topic_id))
    return log


def open_log(
    environment: LogEnvironment, topic_partition: TopicPartition, config: TopicConfig, last_stop: LastStop
) -> Log:
    """Open a partition's directory, recovering its log after a crash.

    The log's ``topic_id`` is all zeros when its file is missing or damaged.

    Raises:
        CorruptLog: The log is damaged in a way that no crash explains.
        StorageError: It cannot be read or written.
    """
    fs, home = environment.fs, environment.home
    directory = home.path / filenames.partition_directory(topic_partition)
    loaded = load_log(fs, directory, config, last_stop, environment.clock.now_ms())
    home.lower_cleaned_offset(topic_partition, loaded.log_end_offset)
    topic_id = read_topic_id(fs, directory)
    if not last_stop.was_clean:
        # Nobody knows whether the names, or the id, ever got to the disk.
        loaded.unsynced_directories += (directory, home.path)
        if topic_id != ZERO_UUID:
            loaded.unsynced_files.append(fs.open(directory / filenames.PARTITION_METADATA))
    return Log(environment, topic_partition, topic_id, directory=directory, config=config, loaded=loaded)


def read_topic_id(fs: FileSystem, directory: Path) -> bytes:
    """The id of the topic that a directory belongs to; all zeros when its file is missing or damaged."""
    lines = checkpoint.read(fs, directory / filenames.PARTITION_METADATA) or ()
    for line in lines:
        if line.startswith(_TOPIC_ID):
            try:
                return uuid_from_text(line.removeprefix(_TOPIC_ID))
            except ValueError:
                break
    return ZERO_UUID


def _write_topic_id(fs: FileSystem, directory: Path, topic_id: bytes) -> File:
    file = fs.open(directory / filenames.PARTITION_METADATA, create=True)
    file.truncate(0)
    write_fully(file, (checkpoint.encode(["version: 0", f"{_TOPIC_ID}{uuid_text(topic_id)}"]),))
    return file
