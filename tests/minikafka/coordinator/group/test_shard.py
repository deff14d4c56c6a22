"""A shard over a log in memory: what is answered when, what is in the log, and what a restart finds."""

from __future__ import annotations

import asyncio
import struct

import pytest

from minikafka.coordinator.group.shard import Answer, GroupShard
from minikafka.coordinator.group.values import (
    ClassicProtocol,
    Client,
    CommittedOffset,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
    GroupLimits,
    GroupListing,
    JoinAttempt,
    JoinResult,
    LeavingMember,
    MemberClaim,
    NewMemberId,
    SyncAttempt,
    TopicsView,
)
from minikafka.errors import (
    CoordinatorNotAvailable,
    GroupIdNotFound,
    IllegalGeneration,
    KafkaError,
    NonEmptyGroup,
    NotCoordinator,
    RebalanceInProgress,
    UnknownMemberId,
)
from minikafka.types import TopicPartition
from tests.support.clock import ManualClock
from tests.support.group_log import MemoryStateLog
from tests.support.group_topics import Topics

NOBODY = MemberClaim("", None, -1)
ORDERS = TopicPartition("orders", 0)
RETURNS = TopicPartition("returns", 0)
ALL_ORDERS = b"\0\1\0\0\0\1\0\6orders" + struct.pack(">5i", 4, 0, 1, 2, 3) + b"\xff\xff\xff\xff"
CLIENT = Client("client", "/127.0.0.1")
DAY_MS = 24 * 3_600_000
SESSION_MS = 10_000


class Shard:
    """A shard, and short calls for what requests ask of it."""

    def __init__(
        self, log: MemoryStateLog | None = None, limits: GroupLimits | None = None, topics: TopicsView | None = None
    ) -> None:
        self.log = MemoryStateLog() if log is None else log
        self.clock = ManualClock()
        self.failures: list[KafkaError] = []
        self.shard = GroupShard(self.log, limits or GroupLimits(), topics or Topics(), self.clock, self.failures.append)
        for _ in self.shard.load():
            pass

    def restarted(self) -> Shard:
        """Another shard, of the same log."""
        self.shard.close(NotCoordinator("the broker stops"))
        return Shard(self.log)

    def join(self, member_id: str = "", *, group_id: str = "g") -> asyncio.Future[JoinResult]:
        attempt = JoinAttempt(
            group_id,
            member_id,
            None,
            CLIENT,
            "consumer",
            (ClassicProtocol("range", b"\0\0\0\0\0\1\0\6orders\xff\xff\xff\xff"),),
            SESSION_MS,
            60_000,
            requires_known_member_id=True,
            supports_skip_assignment=True,
        )
        return self.shard.join(attempt)

    def enter(self, group_id: str = "g", assignment: bytes = b"all of it") -> MemberClaim:
        """A member of a stable group of which it is the only one."""
        first = self.join(group_id=group_id).exception()
        assert isinstance(first, NewMemberId)
        joined = self.join(first.member_id, group_id=group_id).result()
        claim = MemberClaim(joined.member_id, None, joined.generation_id)
        self.sync(claim, group_id=group_id, assignment=assignment)
        return claim

    def sync(
        self, claim: MemberClaim, *, group_id: str = "g", assignment: bytes = b"all of it"
    ) -> asyncio.Future[object]:
        attempt = SyncAttempt(
            group_id, claim.member_id, None, claim.generation_id, None, None, {claim.member_id: assignment}
        )
        return self.shard.sync(attempt)  # type: ignore[return-value]

    def leave(self, claim: MemberClaim, *, group_id: str = "g") -> None:
        (left,) = self.shard.leave(group_id, [LeavingMember(claim.member_id, None)]).value
        assert left.error is None

    def commit(
        self, offset: int, claim: MemberClaim = NOBODY, *, group_id: str = "g", where: TopicPartition = ORDERS
    ) -> asyncio.Future[None] | None:
        committed = CommittedOffset(offset, commit_timestamp_ms=self.clock.now_ms())
        return self.shard.commit(group_id, claim, {where: committed}, knows_epochs=True)

    def offset(self, group_id: str = "g", where: TopicPartition = ORDERS) -> int | None:
        found = self.shard.offsets.get(group_id, where)
        return None if found is None else found.offset

    def listed(self) -> dict[str, str]:
        return {listing.group_id: listing.state for listing in self.shard.listings()}


# Offsets


async def test_an_offset_is_visible_when_it_is_durable_and_not_before() -> None:
    shard = Shard()
    shard.log.is_held = True
    durable = shard.commit(5)
    assert durable is not None
    assert shard.offset() is None
    await shard.log.flush()
    assert durable.done()
    assert shard.offset() == 5


async def test_without_waiting_for_the_disk_a_commit_is_answered_at_once() -> None:
    shard = Shard()
    assert shard.commit(5) is None
    assert shard.offset() == 5


async def test_who_wants_to_see_what_is_being_committed_can_wait_for_it() -> None:
    shard = Shard()
    assert shard.shard.settled() is None
    shard.log.is_held = True
    shard.commit(5)
    settled = shard.shard.settled()
    assert settled is not None
    await shard.log.flush()
    await settled
    assert shard.offset() == 5


async def test_a_commit_that_cannot_be_written_is_refused_and_changes_nothing() -> None:
    shard = Shard()
    shard.commit(5)
    shard.log.error = CoordinatorNotAvailable("too few replicas")
    with pytest.raises(CoordinatorNotAvailable):
        shard.commit(6)
    assert (shard.offset(), shard.failures) == (5, [])


async def test_when_the_disk_fails_after_the_append_the_shard_gives_up() -> None:
    shard = Shard()
    shard.log.is_held = True
    durable = shard.commit(5)
    assert durable is not None
    await shard.log.break_down(NotCoordinator("the disk failed"))
    with pytest.raises(NotCoordinator):
        await durable
    assert len(shard.failures) == 1
    assert shard.offset() is None


async def test_members_of_a_group_that_is_not_there_are_told_in_the_words_they_know() -> None:
    shard = Shard()
    claim = MemberClaim("a", None, 1)
    for knows, error in ((True, GroupIdNotFound), (False, IllegalGeneration)):
        with pytest.raises(error):
            shard.shard.commit("g", claim, {}, knows_epochs=knows)
    assert shard.listed() == {}


async def test_offsets_of_a_topic_that_was_deleted_are_gone_with_those_on_their_way() -> None:
    shard = Shard()
    shard.commit(5)
    shard.commit(6, where=RETURNS)
    shard.log.is_held = True
    shard.commit(7, group_id="other")
    shard.shard.delete_topic("orders")
    await shard.log.flush()
    assert (shard.offset(), shard.offset("other"), shard.offset(where=RETURNS)) == (None, None, 6)
    again = shard.restarted()
    assert (again.offset(), again.offset("other"), again.offset(where=RETURNS)) == (None, None, 6)


async def test_offsets_are_deleted_unless_the_group_reads_the_topic() -> None:
    shard = Shard()
    claim = shard.enter()
    shard.commit(5, claim)
    shard.commit(6, claim, where=RETURNS)
    assert shard.shard.delete_offsets("g", [ORDERS, RETURNS]).value == {ORDERS: False, RETURNS: True}
    assert (shard.offset(), shard.offset(where=RETURNS)) == (5, None)


# Groups


async def test_members_get_their_assignment_when_it_is_durable() -> None:
    shard = Shard()
    first = shard.join().exception()
    assert isinstance(first, NewMemberId)
    joined = shard.join(first.member_id).result()
    shard.log.is_held = True
    synced = shard.sync(MemberClaim(joined.member_id, None, 1))
    assert not synced.done()
    await shard.log.flush()
    assert synced.done()


async def test_members_whose_assignment_cannot_be_written_join_again() -> None:
    shard = Shard()
    first = shard.join().exception()
    assert isinstance(first, NewMemberId)
    claim = MemberClaim(shard.join(first.member_id).result().member_id, None, 1)
    shard.log.error = CoordinatorNotAvailable("too few replicas")
    assert isinstance(shard.sync(claim).exception(), CoordinatorNotAvailable)
    with pytest.raises(RebalanceInProgress):
        shard.shard.heartbeat("g", claim)
    assert shard.failures == []


async def test_after_a_restart_members_carry_on_without_a_rebalance() -> None:
    shard = Shard()
    claim = shard.enter()
    shard.commit(5, claim)
    again = shard.restarted()
    assert again.listed() == {"g": "Stable"}
    again.shard.heartbeat("g", claim)
    assert again.commit(6, claim) is None
    assert again.offset() == 6


async def test_a_member_that_does_not_come_back_after_a_restart_has_the_time_of_its_session() -> None:
    shard = Shard()
    shard.enter()
    again = shard.restarted()
    again.clock.advance(10_001)
    again.shard.expire("g")
    assert again.listed() == {"g": "Empty"}


async def test_only_a_new_member_brings_a_group_into_being() -> None:
    shard = Shard()
    assert isinstance(shard.join("somebody").exception(), UnknownMemberId)
    with pytest.raises(UnknownMemberId):
        shard.shard.heartbeat("g", MemberClaim("somebody", None, 1))
    with pytest.raises(UnknownMemberId):
        shard.shard.leave("g", [])
    assert isinstance(shard.sync(MemberClaim("somebody", None, 1)).exception(), UnknownMemberId)
    assert shard.listed() == {}


async def test_a_group_with_members_cannot_be_deleted() -> None:
    shard = Shard()
    claim = shard.enter()
    with pytest.raises(NonEmptyGroup):
        shard.shard.delete("g")
    shard.leave(claim)
    assert shard.shard.delete("g") is None
    assert (shard.listed(), shard.restarted().listed()) == ({}, {})
    with pytest.raises(GroupIdNotFound):
        shard.shard.delete("g")


async def test_deleting_a_group_takes_the_commits_along_that_are_on_their_way() -> None:
    shard = Shard()
    shard.log.is_held = True
    shard.commit(5)
    deleted = shard.shard.delete("g")
    assert deleted is not None
    shard.commit(6, group_id="other")
    await shard.log.flush()
    assert (shard.offset(), shard.offset("other")) == (None, 6)
    assert shard.restarted().listed() == {"other": "Empty"}


async def test_what_is_committed_after_the_deletion_stays() -> None:
    shard = Shard()
    shard.log.is_held = True
    shard.commit(5)
    shard.shard.delete("g")
    shard.commit(6)
    await shard.log.flush()
    assert (shard.offset(), shard.restarted().offset()) == (6, 6)


async def test_a_group_that_cannot_be_deleted_stays() -> None:
    shard = Shard()
    shard.commit(5)
    shard.log.error = CoordinatorNotAvailable("too few replicas")
    with pytest.raises(CoordinatorNotAvailable):
        shard.shard.delete("g")
    assert (shard.listed(), shard.offset()) == ({"g": "Empty"}, 5)


async def test_a_group_is_described_by_its_type() -> None:
    shard = Shard()
    shard.enter()
    assert shard.shard.describe("g").state == "Stable"
    with pytest.raises(GroupIdNotFound, match="Group g is not a consumer group"):
        shard.shard.describe_consumer("g")
    with pytest.raises(GroupIdNotFound, match="Group nobody not found"):
        shard.shard.describe("nobody")
    assert shard.shard.listings() == [GroupListing("g", "consumer", "Stable", "classic")]


# Time


async def test_offsets_of_a_group_that_lost_its_members_are_forgotten_when_their_time_is_over() -> None:
    shard = Shard()
    retention_ms = SESSION_MS // 2
    claim = shard.enter()
    shard.commit(5, claim)
    shard.clock.advance(retention_ms)
    shard.shard.forget_what_expired(retention_ms)
    assert shard.offset() == 5  # its member is there
    shard.leave(claim)
    shard.clock.advance(retention_ms - 1)
    shard.shard.forget_what_expired(retention_ms)
    assert shard.offset() == 5  # what counts is when the member left
    shard.clock.advance(1)
    shard.shard.forget_what_expired(retention_ms)
    assert (shard.offset(), shard.listed()) == (None, {})
    assert shard.restarted().listed() == {}


async def test_a_member_whose_session_is_over_keeps_no_offsets_though_its_timer_was_late() -> None:
    shard = Shard()
    shard.commit(5, shard.enter())
    shard.clock.advance(DAY_MS)
    shard.shard.forget_what_expired(DAY_MS)
    assert (shard.offset(), shard.listed()) == (5, {"g": "Empty"})  # without members as of now
    shard.clock.advance(DAY_MS)
    shard.shard.forget_what_expired(DAY_MS)
    assert (shard.offset(), shard.listed()) == (None, {})


async def test_offsets_of_a_group_that_never_had_members_expire_one_by_one() -> None:
    shard = Shard()
    shard.commit(5)
    shard.clock.advance(DAY_MS // 2)
    shard.commit(6, where=RETURNS)
    shard.clock.advance(DAY_MS // 2)
    shard.shard.forget_what_expired(DAY_MS)
    assert (shard.offset(), shard.offset(where=RETURNS), shard.listed()) == (None, 6, {"g": "Empty"})


async def test_a_group_that_somebody_is_about_to_join_is_not_forgotten() -> None:
    shard = Shard()
    assert isinstance(shard.join().exception(), NewMemberId)
    shard.shard.forget_what_expired(DAY_MS)
    assert shard.listed() == {"g": "Empty"}


async def test_a_group_with_a_commit_on_its_way_is_not_forgotten() -> None:
    shard = Shard()
    shard.commit(5)
    shard.log.is_held = True
    shard.clock.advance(DAY_MS)
    shard.commit(6)
    shard.shard.forget_what_expired(DAY_MS)
    await shard.log.flush()
    assert (shard.offset(), shard.listed()) == (6, {"g": "Empty"})


# The end


async def test_who_waits_is_told_when_the_shard_is_closed() -> None:
    shard = Shard()
    claim = shard.enter()
    first = shard.join().exception()
    assert isinstance(first, NewMemberId)
    waiting = shard.join(first.member_id)
    assert not waiting.done()
    shard.shard.close(NotCoordinator("the leader is elsewhere"))
    assert isinstance(waiting.exception(), NotCoordinator)
    assert claim.member_id


async def test_a_shard_that_was_closed_writes_nothing_more() -> None:
    shard = Shard()
    shard.enter()
    shard.shard.close(NotCoordinator("the leader is elsewhere"))
    before = len(shard.log.records)
    shard.clock.advance(10_001)
    shard.shard.expire("g")
    assert len(shard.log.records) == before


# The consumer protocol


class Mixed(Shard):
    """A shard with the topic ``orders`` of four partitions, and heartbeats of the consumer protocol."""

    def __init__(self, log: MemoryStateLog | None = None, limits: GroupLimits | None = None) -> None:
        self.topics = Topics(orders=4)
        super().__init__(log, limits, self.topics)

    def beat(self, member_id: str, epoch: int, **fields) -> Answer[ConsumerHeartbeatResult]:
        return self.shard.consumer_heartbeat(ConsumerHeartbeat("g", member_id, epoch, CLIENT, **fields))

    def consumer_join(self, member_id: str, **fields) -> Answer[ConsumerHeartbeatResult]:
        fields = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": ("orders",), "owned": {}, **fields}
        return self.beat(member_id, 0, **fields)


async def test_a_member_is_told_its_epoch_when_that_is_durable() -> None:
    shard = Mixed()
    shard.log.is_held = True
    joined = shard.consumer_join("a")
    assert joined.durable is not None
    assert not joined.durable.done()
    await shard.log.flush()
    assert joined.durable.done()
    assert shard.beat("a", joined.value.member_epoch).durable is None


async def test_a_consumer_group_is_as_it_was_after_a_restart() -> None:
    shard = Mixed()
    shard.consumer_join("a", instance_id="i")
    shard.commit(5, MemberClaim("a", None, 1))
    before = shard.shard.describe_consumer("g")
    shard.shard.close(NotCoordinator("the broker stops"))
    again = Mixed(shard.log)
    assert again.shard.describe_consumer("g").members == before.members
    assert again.offset() == 5
    assert again.commit(6, MemberClaim("a", None, 1)) is None


async def test_when_the_epoch_of_a_member_cannot_be_written_the_shard_gives_up() -> None:
    shard = Mixed()
    shard.consumer_join("a")
    shard.log.error = CoordinatorNotAvailable("too few replicas")
    refused = shard.consumer_join("b")
    assert refused.durable is not None
    with pytest.raises(CoordinatorNotAvailable):
        await refused.durable
    assert len(shard.failures) == 1


async def test_a_consumer_group_comes_into_being_with_a_member_and_with_nothing_else() -> None:
    shard = Mixed()
    for epoch in (1, -1):
        with pytest.raises(GroupIdNotFound, match="Consumer group g not found"):
            shard.beat("a", epoch)
    with pytest.raises(KafkaError):
        shard.consumer_join("a", server_assignor="sticky")
    assert (shard.listed(), shard.log.records) == ({}, [])


async def test_a_classic_group_without_members_makes_room_and_its_offsets_stay() -> None:
    shard = Mixed()
    shard.commit(5)
    shard.consumer_join("a")
    assert shard.shard.listings() == [GroupListing("g", "consumer", "Stable", "consumer")]
    assert (shard.offset(), Mixed(shard.log).offset()) == (5, 5)


async def test_a_consumer_group_without_members_makes_room_for_a_classic_one() -> None:
    shard = Mixed()
    shard.consumer_join("a")
    shard.beat("a", -1)
    claim = shard.enter()
    assert shard.shard.listings() == [GroupListing("g", "consumer", "Stable", "classic")]
    again = Mixed(shard.log)
    again.shard.heartbeat("g", claim)


async def test_the_first_member_of_the_consumer_protocol_takes_a_classic_group_along() -> None:
    shard = Mixed()
    claim = shard.enter(assignment=ALL_ORDERS)
    joined = shard.consumer_join("new")
    assert (joined.value.member_epoch, joined.value.assignment) == (2, {})
    assert shard.shard.describe_consumer("g").state == "Reconciling"
    with pytest.raises(RebalanceInProgress):
        shard.shard.heartbeat("g", claim)
    assert {member.member_id: member.is_classic for member in shard.shard.describe_consumer("g").members} == {
        "new": False,
        claim.member_id: True,
    }


async def test_a_refused_member_does_not_change_what_the_group_is() -> None:
    shard = Mixed()
    claim = shard.enter(assignment=ALL_ORDERS)
    with pytest.raises(KafkaError):
        shard.consumer_join("new", subscribed_topic_regex="(")
    assert shard.listed() == {"g": "Stable"}
    shard.shard.heartbeat("g", claim)
    assert shard.shard.describe("g").state == "Stable"


async def test_a_group_that_may_not_change_stays_what_it_is() -> None:
    shard = Mixed(limits=GroupLimits(migration_policy="disabled"))
    shard.enter(assignment=ALL_ORDERS)
    with pytest.raises(GroupIdNotFound, match="Group g is not a consumer group"):
        shard.consumer_join("new")
    assert shard.shard.describe("g").state == "Stable"


async def test_when_the_last_member_of_the_consumer_protocol_leaves_the_group_is_classic_again() -> None:
    shard = Mixed()
    member_id = shard.enter(assignment=ALL_ORDERS).member_id
    shard.consumer_join("new")
    claim = MemberClaim(member_id, None, shard.join(member_id).result().generation_id)
    shard.log.is_held = True
    left = shard.beat("new", -1)
    assert left.durable is not None
    await shard.log.flush()
    assert left.durable.done()
    assert shard.listed() == {"g": "PreparingRebalance"}
    with pytest.raises(RebalanceInProgress):
        shard.shard.heartbeat("g", claim)
    assert shard.join(member_id).result().generation_id == claim.generation_id + 1
    shard.shard.close(NotCoordinator("the broker stops"))
    assert [member.member_id for member in Mixed(shard.log).shard.describe("g").members] == [member_id]


async def test_when_its_session_is_over_the_group_is_classic_again_too() -> None:
    shard = Mixed()
    claim = shard.enter(assignment=ALL_ORDERS)
    shard.consumer_join("new")
    for _ in range(5):
        shard.clock.advance(SESSION_MS - 1)
        with pytest.raises(RebalanceInProgress):
            shard.shard.heartbeat("g", claim)
        shard.shard.expire("g")
    assert shard.listed() == {"g": "PreparingRebalance"}


async def test_a_group_whose_policy_changed_is_converted_when_it_is_loaded() -> None:
    shard = Mixed(limits=GroupLimits(migration_policy="upgrade"))
    shard.enter(assignment=ALL_ORDERS)
    shard.consumer_join("new")
    shard.beat("new", -1)
    assert shard.shard.describe_consumer("g").members
    shard.shard.close(NotCoordinator("the broker stops"))
    assert Mixed(shard.log).listed() == {"g": "PreparingRebalance"}


async def test_offsets_of_a_consumer_group_are_deleted_unless_it_reads_the_topic() -> None:
    shard = Mixed()
    shard.consumer_join("a", subscribed_topic_names=(), subscribed_topic_regex="ord.*")
    shard.commit(5, MemberClaim("a", None, 1))
    shard.commit(6, MemberClaim("a", None, 1), where=RETURNS)
    assert shard.shard.delete_offsets("g", [ORDERS, RETURNS]).value == {ORDERS: False, RETURNS: True}


async def test_a_consumer_group_is_deleted_with_all_its_records() -> None:
    shard = Mixed()
    shard.consumer_join("a")
    shard.commit(5, MemberClaim("a", None, 1))
    with pytest.raises(NonEmptyGroup):
        shard.shard.delete("g")
    shard.beat("a", -1)
    shard.shard.delete("g")
    last = {stored.key: stored.value for stored in shard.log.records}
    assert set(last.values()) == {None}


async def test_a_group_that_made_room_does_not_come_back_with_the_other_gone() -> None:
    shard = Mixed()
    shard.leave(shard.enter())
    shard.consumer_join("a")
    shard.beat("a", -1)
    shard.shard.delete("g")
    assert Mixed(shard.log).listed() == {}


async def test_what_a_refused_request_made_the_group_notice_is_written() -> None:
    shard = Mixed()
    shard.consumer_join("a")
    shard.topics.grow("orders", 8)
    with pytest.raises(UnknownMemberId):
        shard.beat("b", 1)
    assert Mixed(shard.log).shard.describe_consumer("g").group_epoch == 2


async def test_a_consumer_group_that_has_neither_members_nor_offsets_is_forgotten() -> None:
    shard = Mixed()
    shard.consumer_join("a")
    shard.shard.forget_what_expired(DAY_MS)
    assert shard.listed() == {"g": "Stable"}
    shard.beat("a", -1)
    shard.clock.advance(DAY_MS)
    shard.shard.forget_what_expired(DAY_MS)
    assert (shard.listed(), Mixed(shard.log).listed()) == ({}, {})
