from __future__ import annotations

import pytest

from minikafka.coordinator.group.consumer.classic_members import assignment_bytes, parse_subscription
from minikafka.coordinator.group.values import GroupLimits, LeavingMember, NewMemberId
from minikafka.errors import (
    FencedInstanceId,
    GroupMaxSizeReached,
    IllegalGeneration,
    InconsistentGroupProtocol,
    InvalidSessionTimeout,
    RebalanceInProgress,
    UnknownMemberId,
)
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolAssignment
from minikafka.protocol.payloads.versioned import decode_versioned, version_of
from tests.minikafka.coordinator.group.classic.harness import Reply, join_attempt
from tests.minikafka.coordinator.group.consumer.harness import (
    CLASSIC_SESSION_MS,
    REBALANCE_MS,
    SESSION_MS,
    ClassicConsumer,
    Consumer,
    Harness,
    count,
    is_shared_out,
    settle,
)
from tests.support.group_topics import Topics


def mixed(limits: GroupLimits | None = None, **fields) -> tuple[Harness, Consumer, ClassicConsumer]:
    """A stable group of one member of each protocol; the one of the consumer protocol was there first."""
    harness = Harness(limits)
    new = Consumer(harness, "new", "orders").join()
    old = ClassicConsumer(harness, "orders", **fields).join()
    settle(new, old)
    return harness, new, old


def test_a_classic_member_is_told_an_id_first_and_then_its_epoch_as_generation() -> None:
    harness = Harness()
    harness.join("new")
    old = ClassicConsumer(harness, "orders")
    first = old.send_join().error
    assert isinstance(first, NewMemberId)
    assert first.member_id not in harness.group.members
    old.member_id = first.member_id
    joined = old.send_join().result()
    assert (joined.generation_id, joined.protocol_type, joined.protocol_name) == (2, "consumer", "cooperative-sticky")
    assert (joined.leader, joined.members) == ("", ())


def test_one_that_does_not_know_that_is_let_in_at_once() -> None:
    harness = Harness()
    harness.join("new")
    assert ClassicConsumer(harness, "orders").send_join(requires_known_member_id=False).result().generation_id == 2


def test_members_of_both_protocols_share_the_partitions() -> None:
    harness, new, old = mixed()
    assert is_shared_out(harness.topics, "orders", new, old)
    assert (count(new.owned), count(old.owned)) == (2, 2)
    assert harness.state == "Stable"
    assert harness.member(old.member_id).classic is not None


def test_a_classic_member_is_asked_to_join_again_when_it_is_to_let_go_and_has_less_then() -> None:
    harness = Harness()
    new = Consumer(harness, "new", "orders").join()
    new.leave()
    harness.join("x", "nothing")  # keeps the group what it is
    old = ClassicConsumer(harness, "orders").join()
    assert count(old.owned) == 4
    new = Consumer(harness, "new", "orders").join()
    with pytest.raises(RebalanceInProgress):
        old.heartbeat()
    old.join()
    assert count(old.owned) == 2
    assert not new.beat()  # the classic member has not said yet that it let go
    with pytest.raises(RebalanceInProgress):
        old.heartbeat()
    old.join()
    assert new.beat()
    assert is_shared_out(harness.topics, "orders", new, old)


def test_a_classic_member_is_asked_to_join_again_when_what_it_waits_for_is_free() -> None:
    harness = Harness()
    new = Consumer(harness, "new", "orders").join()
    old = ClassicConsumer(harness, "orders").join()
    assert old.owned == {}
    old.heartbeat()
    new.beat()
    old.heartbeat()
    new.beat()
    with pytest.raises(RebalanceInProgress):
        old.heartbeat()


def test_a_classic_member_sees_topics_that_changed() -> None:
    harness, _, old = mixed()
    old.heartbeat()
    harness.topics.grow("orders", 8)
    with pytest.raises(RebalanceInProgress):
        old.heartbeat()


def test_a_silent_classic_member_is_removed_when_its_own_session_is_over() -> None:
    harness, new, old = mixed()
    harness.advance(CLASSIC_SESSION_MS - 1)
    assert old.member_id in harness.group.members
    harness.advance(1)
    assert set(harness.group.members) == {"new"}
    settle(new)
    assert count(new.owned) == 4


def test_commits_keep_a_classic_member_alive() -> None:
    harness, _, old = mixed()
    for _ in range(3):
        harness.advance(CLASSIC_SESSION_MS - 1)
        harness.group.check_commit(old.claim, harness.now_ms)
    assert old.member_id in harness.group.members


def test_a_classic_member_that_does_not_join_again_in_time_is_removed() -> None:
    harness, new, old = mixed()
    harness.topics.grow("orders", 8)
    for _ in range(0, REBALANCE_MS, 5_000):
        with pytest.raises(RebalanceInProgress):
            old.heartbeat()
        new.beat()
        harness.advance(5_000)
    assert set(harness.group.members) == {"new"}


def test_a_classic_member_that_does_not_sync_in_time_is_removed() -> None:
    harness = Harness()
    new = Consumer(harness, "new", "nothing").join()
    old = ClassicConsumer(harness, "orders")
    joined = old.send_join(requires_known_member_id=False).result()
    old.member_id, old.generation_id = joined.member_id, joined.generation_id
    for _ in range(0, REBALANCE_MS, 5_000):
        old.heartbeat()
        new.beat()
        harness.advance(5_000)
    assert set(harness.group.members) == {"new"}


def test_a_classic_member_that_has_synced_is_not_waited_for() -> None:
    harness, new, old = mixed()
    for _ in range(0, 2 * REBALANCE_MS, 5_000):
        harness.advance(5_000)
        old.heartbeat()
        new.beat()
    assert old.member_id in harness.group.members


def test_a_member_that_was_to_join_again_may_do_so_by_the_other_protocol() -> None:
    harness, new, old = mixed()
    harness.topics.grow("orders", 8)
    with pytest.raises(RebalanceInProgress):
        old.heartbeat()
    changed = Consumer(harness, old.member_id, "orders").join()
    for _ in range(0, 2 * REBALANCE_MS, 5_000):
        harness.advance(5_000)
        settle(new, changed)
    assert is_shared_out(harness.topics, "orders", new, changed)


def test_a_member_that_was_to_let_go_may_become_a_classic_one_instead() -> None:
    harness = Harness()
    first = Consumer(harness, "first", "orders").join()
    second = Consumer(harness, "second", "orders").join()
    first.beat()
    old = ClassicConsumer(harness, "orders")
    old.member_id = first.member_id
    old.join()
    for _ in range(0, 2 * REBALANCE_MS, 5_000):
        harness.advance(5_000)
        settle(second, old)
    assert is_shared_out(harness.topics, "orders", second, old)


def test_syncing_in_an_older_epoch_is_refused_until_the_member_joined_again() -> None:
    harness, _, old = mixed()
    harness.topics.grow("orders", 8)
    harness.join("x")
    with pytest.raises(RebalanceInProgress):
        old.sync()
    old.generation_id += 1
    with pytest.raises(IllegalGeneration):
        old.sync()
    old.member_id = "nobody"
    with pytest.raises(UnknownMemberId):
        old.sync()


@pytest.mark.parametrize("fields", [{"protocol_type": "connect"}, {"protocol_name": "range"}])
def test_syncing_by_another_protocol_is_refused(fields: dict[str, str]) -> None:
    _, _, old = mixed()
    with pytest.raises(InconsistentGroupProtocol):
        old.sync(**fields)
    assert old.sync(protocol_type=None, protocol_name=None)


def test_members_of_the_consumer_protocol_cannot_use_the_classic_requests() -> None:
    harness, _, _ = mixed()
    claim = harness.claim("new", harness.member("new").epoch)
    with pytest.raises(UnknownMemberId):
        harness.group.heartbeat(claim, harness.now_ms)
    with pytest.raises(UnknownMemberId):
        harness.group.leave(LeavingMember("new", None), harness.now_ms)


def test_a_classic_member_that_leaves_gives_all_it_had() -> None:
    _, new, old = mixed()
    old.leave()
    settle(new)
    assert count(new.owned) == 4
    with pytest.raises(UnknownMemberId):
        old.heartbeat()


def test_a_static_member_can_be_removed_by_its_instance_id_alone() -> None:
    harness, _, old = mixed(instance_id="i")
    with pytest.raises(FencedInstanceId):
        harness.group.leave(LeavingMember("somebody", "i"), harness.now_ms)
    assert harness.group.leave(LeavingMember("", "i"), harness.now_ms) == old.member_id


def test_a_static_member_that_comes_back_has_what_it_had_and_its_former_self_is_fenced() -> None:
    harness, _, old = mixed(instance_id="i")
    epoch = harness.group_epoch
    back = ClassicConsumer(harness, "orders", instance_id="i").join()
    assert (back.owned, harness.group_epoch) == (old.owned, epoch)
    assert back.member_id != old.member_id
    with pytest.raises(FencedInstanceId):
        old.heartbeat()
    assert isinstance(old.send_join().error, FencedInstanceId)


def test_a_member_may_change_its_protocol_by_joining_with_the_other() -> None:
    harness, new, old = mixed(instance_id="i")
    changed = Consumer(harness, "changed", "orders", instance_id="i").join()
    settle(new, changed)
    assert old.member_id not in harness.group.members
    assert harness.member("changed").classic is None
    assert is_shared_out(harness.topics, "orders", new, changed)


@pytest.mark.parametrize("session_ms", [5_999, 1_800_001])
def test_a_session_out_of_bounds_is_refused(session_ms: int) -> None:
    harness = Harness()
    harness.join("new")
    assert isinstance(
        ClassicConsumer(harness, "orders", session_ms=session_ms).send_join().error, InvalidSessionTimeout
    )


def test_no_more_members_come_in_than_are_allowed_but_those_who_are_in_may_come_back() -> None:
    harness, _, old = mixed(GroupLimits(consumer_max_size=2), instance_id="i")
    assert isinstance(ClassicConsumer(harness, "orders").send_join().error, GroupMaxSizeReached)
    assert old.send_join().error is None
    assert ClassicConsumer(harness, "orders", instance_id="i").send_join().error is None


def test_classic_members_have_an_assignor_in_common_for_the_day_they_are_alone() -> None:
    harness, _, _ = mixed(protocols=("range", "sticky"))
    refused = ClassicConsumer(harness, "orders", protocols=("roundrobin",)).send_join()
    assert isinstance(refused.error, InconsistentGroupProtocol)
    ClassicConsumer(harness, "orders", protocols=("sticky", "roundrobin")).join()


@pytest.mark.parametrize("fields", [{"protocol_type": "connect"}, {"protocols": {"range": b"\0"}}, {"protocols": {}}])
def test_what_is_no_consumer_is_refused(fields) -> None:
    harness = Harness()
    harness.join("new")
    reply: Reply[object] = Reply()
    attempt = join_attempt(**{"protocols": {"range": b"\0\0\0\0\0\0\xff\xff\xff\xff"}, **fields})
    harness.group.join(attempt, reply, harness.now_ms)  # type: ignore[arg-type]
    assert isinstance(reply.error, InconsistentGroupProtocol)


def test_classic_members_are_as_they_were_after_the_group_was_loaded() -> None:
    harness, new, old = mixed()
    before = harness.group.describe_consumer()
    harness.restart()
    assert harness.group.describe_consumer() == before
    old.heartbeat()
    harness.topics.grow("orders", 8)
    settle(new, old)
    assert is_shared_out(harness.topics, "orders", new, old)
    harness.advance(SESSION_MS)
    assert harness.group.is_empty


def test_an_assignment_is_written_in_the_version_of_the_subscription_without_topics_that_are_gone() -> None:
    topics = Topics(orders=3, returns=2)
    partitions = {**topics.partitions("returns"), **topics.partitions("orders", [2, 0]), bytes(16): frozenset({0})}
    written = assignment_bytes(partitions, topics, 1)
    assert version_of(written) == 1
    decoded = decode_versioned(ConsumerProtocolAssignment, written).assigned_partitions
    assert [(topic.topic, topic.partitions) for topic in decoded] == [("orders", [0, 2]), ("returns", [0, 1])]
    assert version_of(assignment_bytes(partitions, topics, 9)) == 3


def test_a_subscription_that_cannot_be_read_is_refused() -> None:
    assert parse_subscription(b"\0\0\0\0\0\1\0\6orders\xff\xff\xff\xff").topics == ["orders"]
    with pytest.raises(InconsistentGroupProtocol):
        parse_subscription(b"\0\0\0\0\0\1")
