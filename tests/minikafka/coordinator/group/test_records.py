"""The bytes below are written out by hand from the structures in Kafka's sources."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.records import decode, encode
from minikafka.coordinator.group.values import GroupRecord
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.payloads.group_records import (
    ClassicMemberMetadata,
    ClassicProtocol,
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
    MemberMetadata,
    OffsetCommitKey,
    OffsetCommitValue,
    TopicPartitions,
)
from tests.wire.values import random_message


def short(value: int) -> bytes:
    return struct.pack(">h", value)


def int32(value: int) -> bytes:
    return struct.pack(">i", value)


def int64(value: int) -> bytes:
    return struct.pack(">q", value)


def string(text: str) -> bytes:
    return short(len(text.encode())) + text.encode()


def bytes_of(content: bytes) -> bytes:
    return int32(len(content)) + content


def compact(text: str) -> bytes:
    return bytes([len(text) + 1]) + text.encode()


TOPIC = bytes(range(16))
PARTITIONS = [TopicPartitions(topic_id=TOPIC, partitions=[1, 2])]
COMPACT_PARTITIONS = b"\x02" + TOPIC + b"\x03" + int32(1) + int32(2) + b"\x00"

OFFSET_COMMIT = OffsetCommitKey(group="billing", topic="orders", partition=3)
OFFSET_COMMIT_BYTES = short(1) + string("billing") + string("orders") + int32(3)

GOLDEN = {
    "offset": (
        GroupRecord(OFFSET_COMMIT, OffsetCommitValue(offset=77, leader_epoch=5, metadata="näh", commit_timestamp=1234)),
        OFFSET_COMMIT_BYTES,
        short(3) + int64(77) + int32(5) + string("näh") + int64(1234),
    ),
    "offset of a client of old": (
        GroupRecord(OFFSET_COMMIT, OffsetCommitValue(offset=77, metadata="", commit_timestamp=1, expire_timestamp=9)),
        OFFSET_COMMIT_BYTES,
        short(1) + int64(77) + string("") + int64(1) + int64(9),
    ),
    "classic group": (
        GroupRecord(
            GroupMetadataKey(group="billing"),
            GroupMetadataValue(
                protocol_type="consumer",
                generation=4,
                protocol="range",
                leader="m-1",
                current_state_timestamp=1234,
                members=[
                    MemberMetadata(
                        member_id="m-1",
                        group_instance_id=None,
                        client_id="c",
                        client_host="/127.0.0.1",
                        rebalance_timeout=300_000,
                        session_timeout=45_000,
                        subscription=b"wants",
                        assignment=b"gets",
                    )
                ],
            ),
        ),
        short(2) + string("billing"),
        short(3)
        + string("consumer")
        + int32(4)
        + string("range")
        + string("m-1")
        + int64(1234)
        + int32(1)
        + string("m-1")
        + short(-1)
        + string("c")
        + string("/127.0.0.1")
        + int32(300_000)
        + int32(45_000)
        + bytes_of(b"wants")
        + bytes_of(b"gets"),
    ),
    "empty classic group": (
        GroupRecord(
            GroupMetadataKey(group="billing"),
            GroupMetadataValue(
                protocol_type="", generation=0, protocol=None, leader=None, current_state_timestamp=1, members=[]
            ),
        ),
        short(2) + string("billing"),
        short(3) + string("") + int32(0) + short(-1) + short(-1) + int64(1) + int32(0),
    ),
    "consumer group": (
        GroupRecord(ConsumerGroupMetadataKey(group_id="billing"), ConsumerGroupMetadataValue(epoch=7)),
        short(3) + string("billing"),
        short(0) + int32(7) + b"\x00",
    ),
    "consumer group with a hash of its topics": (
        GroupRecord(ConsumerGroupMetadataKey(group_id="billing"), ConsumerGroupMetadataValue(epoch=7, metadata_hash=5)),
        short(3) + string("billing"),
        short(0) + int32(7) + b"\x01\x00\x08" + int64(5),
    ),
    "member of a consumer group": (
        GroupRecord(
            ConsumerGroupMemberMetadataKey(group_id="billing", member_id="m-1"),
            ConsumerGroupMemberMetadataValue(
                instance_id="i",
                rack_id=None,
                client_id="c",
                client_host="/h",
                subscribed_topic_names=["orders"],
                subscribed_topic_regex=None,
                rebalance_timeout_ms=300_000,
                server_assignor="uniform",
            ),
        ),
        short(5) + string("billing") + string("m-1"),
        short(0)
        + compact("i")
        + b"\x00"
        + compact("c")
        + compact("/h")
        + b"\x02"
        + compact("orders")
        + b"\x00"
        + int32(300_000)
        + compact("uniform")
        + b"\x00",
    ),
    "classic member of a consumer group": (
        GroupRecord(
            ConsumerGroupMemberMetadataKey(group_id="billing", member_id="m-1"),
            ConsumerGroupMemberMetadataValue(
                instance_id=None,
                rack_id=None,
                client_id="c",
                client_host="/h",
                subscribed_topic_names=[],
                subscribed_topic_regex="",
                rebalance_timeout_ms=-1,
                server_assignor=None,
                classic_member_metadata=ClassicMemberMetadata(
                    session_timeout_ms=45_000, supported_protocols=[ClassicProtocol(name="range", metadata=b"wants")]
                ),
            ),
        ),
        short(5) + string("billing") + string("m-1"),
        short(0)
        + b"\x00\x00"
        + compact("c")
        + compact("/h")
        + b"\x01"
        + b"\x01"
        + int32(-1)
        + b"\x00"
        # one tagged field, number 0, of 20 bytes: a nullable structure, so that it begins with 1 for "present"
        + b"\x01\x00\x14"
        + b"\x01"
        + int32(45_000)
        + b"\x02"
        + compact("range")
        + b"\x06wants"
        + b"\x00"
        + b"\x00",
    ),
    "target assignment": (
        GroupRecord(
            ConsumerGroupTargetAssignmentMetadataKey(group_id="billing"),
            ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=7),
        ),
        short(6) + string("billing"),
        short(0) + int32(7) + b"\x00",
    ),
    "target assignment of a member": (
        GroupRecord(
            ConsumerGroupTargetAssignmentMemberKey(group_id="billing", member_id="m-1"),
            ConsumerGroupTargetAssignmentMemberValue(topic_partitions=PARTITIONS),
        ),
        short(7) + string("billing") + string("m-1"),
        short(0) + COMPACT_PARTITIONS + b"\x00",
    ),
    "current assignment of a member": (
        GroupRecord(
            ConsumerGroupCurrentMemberAssignmentKey(group_id="billing", member_id="m-1"),
            ConsumerGroupCurrentMemberAssignmentValue(
                member_epoch=7,
                previous_member_epoch=6,
                state=1,
                assigned_partitions=PARTITIONS,
                partitions_pending_revocation=[],
            ),
        ),
        short(8) + string("billing") + string("m-1"),
        short(0) + int32(7) + int32(6) + b"\x01" + COMPACT_PARTITIONS + b"\x01" + b"\x00",
    ),
    "regular expression": (
        GroupRecord(
            ConsumerGroupRegularExpressionKey(group_id="billing", regular_expression="o.*"),
            ConsumerGroupRegularExpressionValue(topics=["orders"], version=3, timestamp=1234),
        ),
        short(16) + string("billing") + string("o.*"),
        short(0) + b"\x02" + compact("orders") + int64(3) + int64(1234) + b"\x00",
    ),
}


@pytest.mark.parametrize(("record", "key", "value"), GOLDEN.values(), ids=GOLDEN.keys())
def test_records_have_kafkas_bytes(record: GroupRecord, key: bytes, value: bytes) -> None:
    assert encode(record) == (key, value)
    assert decode(key, value) == record


@pytest.mark.parametrize(("record", "key"), [golden[:2] for golden in GOLDEN.values()], ids=GOLDEN.keys())
def test_a_record_without_value_deletes_what_the_key_names(record: GroupRecord, key: bytes) -> None:
    tombstone = GroupRecord(record.key, None)
    assert encode(tombstone) == (key, None)
    assert decode(key, None) == tombstone


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            short(0) + int64(77) + string("m") + int64(1234),
            OffsetCommitValue(offset=77, metadata="m", commit_timestamp=1234),
        ),
        (
            short(2) + int64(77) + string("m") + int64(1234),
            OffsetCommitValue(offset=77, metadata="m", commit_timestamp=1234),
        ),
        (
            short(4) + int64(77) + int32(5) + compact("m") + int64(1234) + b"\x01\x00\x10" + TOPIC,
            OffsetCommitValue(offset=77, leader_epoch=5, metadata="m", commit_timestamp=1234, topic_id=TOPIC),
        ),
    ],
    ids=["0", "2", "4"],
)
def test_offsets_that_another_version_of_kafka_wrote_are_read(value: bytes, expected: OffsetCommitValue) -> None:
    assert decode(OFFSET_COMMIT_BYTES, value) == GroupRecord(OFFSET_COMMIT, expected)


def test_keys_of_old_are_read_as_those_of_today() -> None:
    key = short(0) + OFFSET_COMMIT_BYTES[2:]
    assert decode(key, None) == GroupRecord(OFFSET_COMMIT, None)


@pytest.mark.parametrize("number", [4, 9, 15, 17, 255, -1])
def test_records_of_unknown_types_are_skipped(number: int) -> None:
    assert decode(short(number) + b"whatever", b"that holds") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"", None),
        (b"\x00", None),
        (short(1), None),
        (OFFSET_COMMIT_BYTES[:-1], None),
        (OFFSET_COMMIT_BYTES, b""),
        (OFFSET_COMMIT_BYTES, short(3) + int64(77)),
        (OFFSET_COMMIT_BYTES, short(-2) + int64(77)),
        (short(2) + string("g"), short(3) + string("consumer") + int32(0) + short(-1) + short(-1) + int64(0) + b"\x7f"),
    ],
)
def test_damaged_records_are_refused(key: bytes, value: bytes | None) -> None:
    with pytest.raises(DecodeError):
        decode(key, value)


@given(random=st.randoms(use_true_random=False), name=st.sampled_from(sorted(GOLDEN)))
def test_what_is_encoded_is_decoded_again(random, name: str) -> None:
    key, value = GOLDEN[name][0]
    assert value is not None
    version = struct.unpack(">h", GOLDEN[name][2][:2])[0]
    record = GroupRecord(random_message(type(key), struct.unpack(">h", GOLDEN[name][1][:2])[0], random), value)
    filled = record._replace(value=random_message(type(value), version, random))
    assert decode(*encode(record)) == record
    assert decode(*encode(filled)) == filled


@given(key=st.binary(max_size=40), value=st.none() | st.binary(max_size=60))
def test_no_bytes_bring_forth_another_error(key: bytes, value: bytes | None) -> None:
    try:
        decode(key, value)
    except DecodeError:
        return
