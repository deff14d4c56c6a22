"""The order and the contents of records; their bytes are tested with all records of ``__consumer_offsets``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.coordinator.group.consumer import records
from minikafka.coordinator.group.consumer.member import ClassicMembership, Member
from minikafka.coordinator.group.consumer.states import MemberState
from minikafka.coordinator.group.records import decode, encode
from minikafka.coordinator.group.values import ClassicProtocol, Client
from minikafka.protocol.payloads.group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMetadataKey,
)

TOPIC, OTHER = bytes(15) + b"a", bytes(15) + b"b"
PLAIN = Member("a", Client("client", "/127.0.0.1"))
FULL = Member(
    "a",
    Client("client", "/127.0.0.1"),
    instance_id="i",
    rack_id="north",
    rebalance_timeout_ms=60_000,
    subscribed_topic_names=("orders", "returns"),
    subscribed_topic_regex="o.*",
    server_assignor="range",
    classic=ClassicMembership(10_000, (ClassicProtocol("range", b"metadata"), ClassicProtocol("sticky", b""))),
    state=MemberState.UNREVOKED_PARTITIONS,
    epoch=7,
    previous_epoch=6,
    assigned={TOPIC: frozenset({1, 2})},
    pending_revocation={OTHER: frozenset({0})},
)


@pytest.mark.parametrize("member", [PLAIN, FULL], ids=["plain", "full"])
def test_a_member_is_read_as_it_was_written(member: Member) -> None:
    subscription = decode(*encode(records.subscription("g", member)))
    assignment = decode(*encode(records.current_assignment("g", member)))
    assert subscription is not None
    assert assignment is not None
    assert isinstance(subscription.value, ConsumerGroupMemberMetadataValue)
    assert isinstance(assignment.value, ConsumerGroupCurrentMemberAssignmentValue)
    blank = Member("a", Client("", ""))
    read = records.with_current_assignment(records.with_subscription(blank, subscription.value), assignment.value)
    assert read == member


def test_kafka_writes_an_empty_expression_where_there_is_none() -> None:
    value = records.subscription("g", FULL).value
    assert isinstance(value, ConsumerGroupMemberMetadataValue)
    value.subscribed_topic_regex = ""
    assert records.with_subscription(PLAIN, value).subscribed_topic_regex is None


def test_a_state_that_a_later_version_wrote_is_unknown() -> None:
    value = records.current_assignment("g", FULL).value
    assert isinstance(value, ConsumerGroupCurrentMemberAssignmentValue)
    value.state = 9
    assert records.with_current_assignment(PLAIN, value).state is MemberState.UNKNOWN


def test_a_member_is_deleted_with_what_it_has_first_and_itself_last() -> None:
    keys = [record.key for record in records.member_tombstones("g", "a")]
    assert keys == [
        ConsumerGroupCurrentMemberAssignmentKey(group_id="g", member_id="a"),
        ConsumerGroupTargetAssignmentMemberKey(group_id="g", member_id="a"),
        ConsumerGroupMemberMetadataKey(group_id="g", member_id="a"),
    ]
    assert {record.value for record in records.member_tombstones("g", "a")} == {None}


def test_a_group_is_deleted_with_its_epoch_last() -> None:
    assert [(record.key, record.value) for record in records.group_tombstones("g")] == [
        (ConsumerGroupTargetAssignmentMetadataKey(group_id="g"), None),
        (ConsumerGroupMetadataKey(group_id="g"), None),
    ]


def test_an_expression_keeps_what_it_matched_in_order() -> None:
    value = records.regular_expression("g", "o.*", {"others", "orders"}, 5).value
    assert value == ConsumerGroupRegularExpressionValue(topics=["orders", "others"], version=5, timestamp=-1)
    assert records.regular_expression_tombstone("g", "o.*").value is None


def test_names_are_read_in_order_and_once() -> None:
    value = records.subscription("g", replace(PLAIN, subscribed_topic_names=("b", "a", "b"))).value
    assert isinstance(value, ConsumerGroupMemberMetadataValue)
    assert records.with_subscription(PLAIN, value).subscribed_topic_names == ("a", "b")
