from __future__ import annotations

from dataclasses import replace

import pytest

from minikafka.coordinator.group.consumer import records
from minikafka.coordinator.group.consumer.ledger import Ledger, Resolved
from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, TopicIdPartition
from minikafka.coordinator.group.consumer.states import ConsumerGroupState, MemberState
from minikafka.coordinator.group.values import GroupRecord
from minikafka.protocol.payloads.group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    OffsetCommitKey,
)
from tests.minikafka.coordinator.group.consumer.harness import CLIENT

TOPIC = bytes(16)
FIRST = TopicIdPartition(TOPIC, 0)
ALICE = Member("a", CLIENT, instance_id="i", subscribed_topic_names=("orders",))


def having(*numbers: int, member: Member = ALICE, epoch: int = 1) -> Member:
    return replace(member, assigned={TOPIC: frozenset(numbers)} if numbers else NO_PARTITIONS, epoch=epoch)


def replayed(*written: GroupRecord) -> Ledger:
    ledger = Ledger("g")
    for record in written:
        ledger.replay(record)
    ledger.index()
    return ledger


def is_alike(one: Ledger, other: Ledger) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in (
            *("group_epoch", "metadata_hash", "target_epoch", "members", "targets", "expressions"),
            *("_static", "_holders"),
        )
    )


def busy_ledger() -> tuple[Ledger, tuple[GroupRecord, ...]]:
    """One with something of everything, and all that it wrote."""
    ledger = Ledger("g")
    ledger.begin_epoch(77)
    ledger.put(having(0, 1))
    ledger.put(Member("b", CLIENT, subscribed_topic_regex="r.*"))
    ledger.put(Member("c", CLIENT))
    ledger.resolve("r.*", Resolved(frozenset({"returns"}), 3))
    ledger.resolve("x.*", Resolved(frozenset(), 3))
    ledger.set_target("a", {TOPIC: frozenset({0})})
    ledger.set_target("b", NO_PARTITIONS)
    ledger.set_target("c", NO_PARTITIONS)
    ledger.set_target_epoch(1)
    ledger.remove("c")
    ledger.forget("x.*")
    ledger.put(replace(having(0), pending_revocation={TOPIC: frozenset({1})}, state=MemberState.UNREVOKED_PARTITIONS))
    return ledger, ledger.take_records()


# What it writes


def test_records_are_handed_out_once() -> None:
    ledger = Ledger("g")
    ledger.put(ALICE)
    assert ledger.take_records()
    assert ledger.take_records() == ()


def test_only_what_changed_is_written() -> None:
    ledger = Ledger("g")
    ledger.put(having(0))
    ledger.take_records()
    ledger.put(having(0))
    assert ledger.take_records() == ()
    ledger.put(having(0, 1))
    assert [type(record.key) for record in ledger.take_records()] == [ConsumerGroupCurrentMemberAssignmentKey]
    ledger.put(having(0, 1, member=replace(ALICE, rack_id="north")))
    assert [type(record.key) for record in ledger.take_records()] == [ConsumerGroupMemberMetadataKey]
    ledger.set_target("a", NO_PARTITIONS)
    ledger.resolve("o.*", Resolved(frozenset(), 1))
    assert len(ledger.take_records()) == 2
    ledger.set_target("a", NO_PARTITIONS)
    ledger.resolve("o.*", Resolved(frozenset(), 1))
    ledger.forget("nobody's")
    assert ledger.take_records() == ()


def test_its_records_make_it_again() -> None:
    ledger, written = busy_ledger()
    assert is_alike(replayed(*written), ledger)


def test_its_snapshot_makes_it_again() -> None:
    ledger, _ = busy_ledger()
    assert is_alike(replayed(*ledger.snapshot()), ledger)


def test_its_tombstones_leave_nothing() -> None:
    ledger, written = busy_ledger()
    assert is_alike(replayed(*written, *ledger.tombstones()), Ledger("g"))


def test_records_of_others_are_none_of_its_business() -> None:
    assert is_alike(replayed(GroupRecord(OffsetCommitKey(group="g", topic="orders", partition=0), None)), Ledger("g"))


def test_a_member_whose_assignment_alone_was_deleted_has_nothing() -> None:
    ledger, written = busy_ledger()
    deleted = records.member_tombstones("g", "a")[0]
    again = replayed(*written, deleted)
    assert (again.members["a"].held, again.members["a"].epoch) == (NO_PARTITIONS, -1)
    assert ledger.members["a"].held != NO_PARTITIONS


def test_assignments_that_are_read_before_their_member_are_kept() -> None:
    _, written = busy_ledger()
    compacted = sorted(written, key=lambda record: isinstance(record.key, ConsumerGroupMemberMetadataKey))
    assert replayed(*compacted).members["a"].held == {TOPIC: frozenset({0, 1})}


# What it knows


def test_a_partition_has_its_holder_until_that_has_let_go() -> None:
    ledger = Ledger("g")
    ledger.put(having(0))
    assert ledger.holder(FIRST) == "a"
    ledger.put(replace(having(), pending_revocation={TOPIC: frozenset({0})}))
    assert ledger.holder(FIRST) == "a"
    ledger.put(having())
    assert ledger.holder(FIRST) is None


def test_a_partition_never_has_two_holders() -> None:
    ledger = Ledger("g")
    ledger.put(having(0))
    with pytest.raises(RuntimeError, match="is a's and cannot be b's"):
        ledger.put(having(0, member=Member("b", CLIENT)))


def test_what_a_member_had_is_free_when_it_is_removed() -> None:
    ledger = Ledger("g")
    ledger.put(having(0))
    ledger.set_target("a", {TOPIC: frozenset({0})})
    ledger.remove("a")
    assert ledger.holder(FIRST) is None
    assert (ledger.static_member("i"), ledger.target("a"), ledger.members) == (None, NO_PARTITIONS, {})


def test_a_static_member_is_found_by_its_instance_id_and_can_be_replaced() -> None:
    ledger = Ledger("g")
    ledger.put(having(0, epoch=4))
    ledger.set_target("a", {TOPIC: frozenset({0})})
    new = ledger.replace_static(ledger.members["a"], "a2")
    assert (new.member_id, new.epoch, new.assigned) == ("a2", 0, {TOPIC: frozenset({0})})
    assert ledger.static_member("i") is ledger.members["a2"]
    assert (ledger.holder(FIRST), ledger.target("a2")) == ("a2", {TOPIC: frozenset({0})})
    assert set(ledger.members) == {"a2"}
    assert is_alike(replayed(*ledger.take_records()), ledger)


def test_a_member_that_changes_its_instance_id_is_not_found_by_the_old_one() -> None:
    ledger = Ledger("g")
    ledger.put(ALICE)
    ledger.put(replace(ALICE, instance_id="j"))
    assert ledger.static_member("i") is None
    assert ledger.static_member("j") == ledger.members["a"]


def test_subscribers_of_an_expression_are_found() -> None:
    ledger, _ = busy_ledger()
    assert [member.member_id for member in ledger.subscribers("r.*")] == ["b"]
    assert list(ledger.subscribers("x.*")) == []


def test_the_state_follows_from_epochs_and_members() -> None:
    ledger = Ledger("g")
    assert ledger.state is ConsumerGroupState.EMPTY
    ledger.begin_epoch(0)
    ledger.put(having(epoch=0))
    assert ledger.state is ConsumerGroupState.ASSIGNING
    ledger.set_target_epoch(1)
    assert ledger.state is ConsumerGroupState.RECONCILING
    ledger.put(having(epoch=1))
    assert ledger.state is ConsumerGroupState.STABLE
    ledger.put(replace(having(epoch=1), state=MemberState.UNRELEASED_PARTITIONS))
    assert ledger.state is ConsumerGroupState.RECONCILING
    ledger.remove("a")
    assert ledger.state is ConsumerGroupState.EMPTY


def test_members_of_another_kind_of_group_begin_with_what_they_have_as_their_target() -> None:
    ledger = Ledger("g")
    ledger.adopt(9, [having(0, epoch=9)])
    assert (ledger.group_epoch, ledger.target_epoch, ledger.target("a")) == (9, 9, {TOPIC: frozenset({0})})
    assert ledger.state is ConsumerGroupState.STABLE
