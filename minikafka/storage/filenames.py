"""Names of files and directories in a data directory, as Kafka writes them.

::

    DATA-DIR/
        .lock                            held by the broker that uses the directory
        .kafka_cleanshutdown             there between a clean stop and the next start
        meta.properties                  whose directory this is
        recovery-point-offset-checkpoint
        log-start-offset-checkpoint
        cleaner-offset-checkpoint        up to where each log has been compacted
        TOPIC-PARTITION/
            00000000000000000000.log     record batches, the first of them at the offset of the name
            00000000000000000000.index
            00000000000000000000.timeindex
            00000000000000000000.txnindex    the aborted transactions whose markers are in the segment, if there are any
            00000000000000000000.snapshot    the producers, as they were before the record at the offset of the name
            00000000000000000000.log.cleaned compaction writes it anew, and the indexes with it
            00000000000000000000.log.swap    whole, and about to take the place of the segments that it is made of
            leader-epoch-checkpoint
            partition.metadata           the topic's id
        TOPIC-PARTITION.UNIQUE-delete/   deleted, waiting for its files to go

Source: Kafka, storage/internals/log/LogFileUtils.java, core/log/UnifiedLog.scala.
"""

from __future__ import annotations

from minikafka.types import TopicPartition, is_legal_topic_name

LOG_SUFFIX = ".log"
INDEX_SUFFIX = ".index"
TIME_INDEX_SUFFIX = ".timeindex"
TRANSACTION_INDEX_SUFFIX = ".txnindex"
SNAPSHOT_SUFFIX = ".snapshot"
DELETED_SUFFIX = ".deleted"
TEMPORARY_SUFFIX = ".tmp"
CLEANED_SUFFIX = ".cleaned"
SWAP_SUFFIX = ".swap"
SEGMENT_SUFFIXES = (LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX, SNAPSHOT_SUFFIX)

LOCK = ".lock"
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
META_PROPERTIES = "meta.properties"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_START_OFFSETS = "log-start-offset-checkpoint"
CLEANED_OFFSETS = "cleaner-offset-checkpoint"
BOOT_ID = "boot-id"
LEADER_EPOCHS = "leader-epoch-checkpoint"
PARTITION_METADATA = "partition.metadata"

_DELETED_DIRECTORY = "-delete"
_MAX_NAME_LENGTH = 255
_OFFSET_DIGITS = 20


def segment_file(base_offset: int, suffix: str) -> str:
    """The name of one of a segment's files: 20 digits, so that names sort as offsets do."""
    return f"{base_offset:020d}{suffix}"


def base_offset_of(name: str) -> int | None:
    """The base offset in the name of a segment's file, None when it is not such a name."""
    digits, _, _ = name.partition(".")
    return int(digits) if len(digits) == _OFFSET_DIGITS and digits.isascii() and digits.isdigit() else None


def partition_directory(topic_partition: TopicPartition) -> str:
    """The name of a partition's directory."""
    return f"{topic_partition.topic}-{topic_partition.partition}"


def parse_partition_directory(name: str) -> TopicPartition | None:
    """The partition that a directory of this name holds, None when it is not such a name."""
    topic, _, number = name.rpartition("-")
    if not is_legal_topic_name(topic) or not (number.isascii() and number.isdigit()) or str(int(number)) != number:
        return None
    return TopicPartition(topic, int(number))


def deleted_directory(topic_partition: TopicPartition, unique: bytes) -> str:
    """The name under which a deleted partition waits for its files to be removed; never that of a live one."""
    suffix = f".{unique.hex()}{_DELETED_DIRECTORY}"
    return f"{partition_directory(topic_partition)[: _MAX_NAME_LENGTH - len(suffix)]}{suffix}"


def is_deleted_directory(name: str) -> bool:
    """Whether a directory of this name waits for removal."""
    return name.endswith(_DELETED_DIRECTORY) and "." in name
