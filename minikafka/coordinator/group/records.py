"""Records of ``__consumer_offsets`` from and to bytes, in the versions that Kafka writes.

A key's version is its type.  What another broker has written in later versions of a value is read as far as it is known
here; whole types that are not known, such as those of share groups, are skipped.

Source: Kafka, GroupCoordinatorRecordHelpers, GroupCoordinatorRecordSerde.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from minikafka.coordinator.group.values import GroupRecord
from minikafka.protocol.payloads.group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned, version_of
from minikafka.protocol.schema import Buffer, Message
from minikafka.types import NO_TIMESTAMP


class EncodedRecord(NamedTuple):
    """A record as it stands in the log; without value it is a tombstone."""

    key: bytes
    value: bytes | None


class _RecordType(NamedTuple):
    key: type[Message]
    value: type[Message]
    value_version: int
    """The one that is written."""


_EXPIRING_VERSION = 1
"""Of :class:`OffsetCommitValue`: the only one that holds ``expire_timestamp``."""

_TYPES: Final = {
    0: _RecordType(OffsetCommitKey, OffsetCommitValue, 3),  # of old, the same as 1
    1: _RecordType(OffsetCommitKey, OffsetCommitValue, 3),
    2: _RecordType(GroupMetadataKey, GroupMetadataValue, 3),
    3: _RecordType(ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, 0),
    5: _RecordType(ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, 0),
    6: _RecordType(ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue, 0),
    7: _RecordType(ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue, 0),
    8: _RecordType(ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue, 0),
    16: _RecordType(ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue, 0),
}
_NUMBERS: Final = {known.key: number for number, known in _TYPES.items()}  # of two for a key the later


def encode(record: GroupRecord) -> EncodedRecord:
    """The bytes of a record.

    Raises:
        EncodeError: A field cannot be written, such as a string that is too long.
    """
    number = _NUMBERS[type(record.key)]
    key = encode_versioned(record.key, number)
    if record.value is None:
        return EncodedRecord(key, None)
    version = _TYPES[number].value_version
    if isinstance(record.value, OffsetCommitValue) and record.value.expire_timestamp != NO_TIMESTAMP:
        version = _EXPIRING_VERSION
    return EncodedRecord(key, encode_versioned(record.value, version))


def decode(key: Buffer, value: Buffer | None) -> GroupRecord | None:
    """The record in these bytes; None when it is of a type that is not known here.

    Raises:
        DecodeError: The bytes are no such record.
    """
    known = _TYPES.get(version_of(key))
    if known is None:
        return None
    return GroupRecord(
        decode_versioned(known.key, key), None if value is None else decode_versioned(known.value, value)
    )
