"""What a topic has on disk, partition by partition, and how that has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minikafka.cli.console import JsonValue, print_json, print_table
from minikafka.cli.exits import Failure
from minikafka.types import NO_LEADER, TopicPartition
from minikafka_client.admin.types import OffsetSpec
from minikafka_client.sync import Admin, Consumer

_POLL_MS = 200

TopicState = Mapping[TopicPartition, "PartitionState"]


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition; ``record_count`` is None when nobody has counted."""

    start_offset: int
    end_offset: int
    size_bytes: int
    record_count: int | None = None


def partitions_of(admin: Admin, topic: str, wanted: Sequence[int] = ()) -> list[TopicPartition]:
    """The partitions of a topic, all or those that are wanted.

    Raises:
        Failure: One of them does not exist, or nobody leads it.
        KafkaError: There is no such topic.
    """
    known = {partition.partition: partition for partition in admin.describe_topics([topic])[topic].partitions}
    unknown = set(wanted) - known.keys()
    if unknown:
        raise Failure(f"{topic} has no partition {min(unknown)}; see 'minikafka topic describe {topic}'")
    chosen = [known[number] for number in sorted(wanted or known)]
    leaderless = [partition.partition for partition in chosen if partition.leader_id == NO_LEADER]
    if leaderless:
        raise Failure(f"nobody leads {topic}-{leaderless[0]} at the moment; look at the brokers' logs")
    return [TopicPartition(topic, partition.partition) for partition in chosen]


def measure(admin: Admin, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, PartitionState]:
    """What there is now.

    Raises:
        KafkaError: A broker does not say.
    """
    begins = admin.list_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
    ends = admin.list_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    sizes = sizes_of(admin, partitions)
    return {where: PartitionState(begins[where].offset, ends[where].offset, sizes[where]) for where in partitions}


def sizes_of(admin: Admin, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """How many bytes each partition takes, on the broker where it takes most.

    Raises:
        KafkaError: A broker does not say.
    """
    sizes = dict.fromkeys(partitions, 0)
    for directories in admin.describe_log_dirs().values():
        for directory in directories.values():
            for where in sizes.keys() & directory.replicas.keys():
                sizes[where] = max(sizes[where], directory.replicas[where].size_bytes)
    return sizes


@dataclass(frozen=True, slots=True)
class KeyCount:
    """What reading a partition has found."""

    record_count: int
    key_count: int

    @property
    def is_compacted(self) -> bool:
        """Whether each key is there once; records without a key do not count."""
        return self.record_count == self.key_count


def count_keys(consumer: Consumer, where: TopicPartition, start_offset: int, end_offset: int) -> KeyCount:
    """Read what consumers are given of a partition between two offsets."""
    consumer.assign([where])
    consumer.seek(where, start_offset)
    keys: set[bytes] = set()
    record_count = 0
    # Positions, not messages: compaction may have left none at the end.
    while consumer.position(where) < end_offset:
        found = [message.key for message in consumer.poll(_POLL_MS) if message.offset < end_offset]
        record_count += len(found)
        keys.update(found)
    return KeyCount(record_count, len(keys))


def print_change(topic: str, before: TopicState, after: TopicState, output: str) -> None:
    """Print what was and what is, as a table or as JSON."""
    if output == "json":
        print_json(
            {"topic": topic, "partitions": [_as_json(where, old, after[where]) for where, old in before.items()]}
        )
        return
    is_counted = any(state.record_count is not None for state in before.values())
    header = ("PARTITION", "START", "END", *(["RECORDS"] if is_counted else []), "BYTES")
    rows = []
    for where, old in before.items():
        new = after[where]
        row: list[object] = [where.partition, _change(old.start_offset, new.start_offset), new.end_offset]
        if is_counted:
            row.append(_change(old.record_count, new.record_count))
        rows.append((*row, _change(old.size_bytes, new.size_bytes)))
    print_table(header, rows)


def _change(before: int | None, after: int | None) -> object:
    return after if before == after else f"{before} -> {after}"


def _as_json(where: TopicPartition, before: PartitionState, after: PartitionState) -> dict[str, JsonValue]:
    return {"partition": where.partition, "before": _state_as_json(before), "after": _state_as_json(after)}


def _state_as_json(state: PartitionState) -> dict[str, JsonValue]:
    return {
        "start_offset": state.start_offset,
        "end_offset": state.end_offset,
        "size_bytes": state.size_bytes,
        **({} if state.record_count is None else {"records": state.record_count}),
    }
