import pytest

from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.classic.member import Member
from minikafka.coordinator.group.values import (
    Client,
    GroupLimits,
    GroupListing,
    LeavingMember,
    MemberClaim,
    MemberDescription,
)
from minikafka.errors import (
    CoordinatorNotAvailable,
    FencedInstanceId,
    IllegalGeneration,
    InconsistentGroupProtocol,
    NonEmptyGroup,
    NotCoordinator,
    RebalanceInProgress,
    UnknownMemberId,
)
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolSubscription
from minikafka.protocol.payloads.group_records import GroupMetadataKey, GroupMetadataValue
from minikafka.protocol.payloads.versioned import encode_versioned
from tests.minikafka.coordinator.group.classic.harness import SESSION_MS, Harness, join_attempt

NOBODY = MemberClaim("", None, -1)


@pytest.fixture
def harness() -> Harness:
    return Harness()


def restored(harness: Harness, value: GroupMetadataValue, limits: GroupLimits | None = None) -> Harness:
    group = ClassicGroup.restore(
        "g", value, limits or GroupLimits(), harness.new_member_id, harness.now_ms, clock=harness.clock
    )
    again = Harness(group=group)
    again.ids = harness.ids
    return again


class TestSync:
    def test_a_stable_group_gives_everybody_its_assignment_again(self, harness: Harness) -> None:
        ids = harness.stabilize(2)
        assert harness.assign_all() == {member_id: f"for {member_id}".encode() for member_id in ids}
        assert harness.written() == []

    def test_strangers_and_members_of_old_generations_get_nothing(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        with pytest.raises(UnknownMemberId):
            harness.sync("stranger").result()
        for generation_id in (0, 2):
            with pytest.raises(IllegalGeneration):
                harness.sync(member_id, generation_id=generation_id).result()

    @pytest.mark.parametrize("fields", [{"protocol_type": "connect"}, {"protocol_name": "sticky"}])
    def test_who_believes_in_another_protocol_gets_nothing(self, harness: Harness, fields) -> None:
        (member_id,) = harness.stabilize(1)
        with pytest.raises(InconsistentGroupProtocol):
            harness.sync(member_id, **fields).result()

    def test_before_version_5_the_protocol_is_not_said(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        assert harness.sync(member_id, protocol_type=None, protocol_name=None).result().protocol_name == "range"
        assert harness.sync(member_id, protocol_type="consumer", protocol_name="range").result().assignment

    def test_during_a_rebalance_members_are_told_to_join(self, harness: Harness) -> None:
        leader, follower = harness.stabilize(2)
        harness.join(leader)
        with pytest.raises(RebalanceInProgress):
            harness.sync(follower).result()

    def test_an_empty_group_knows_nobody(self, harness: Harness) -> None:
        with pytest.raises(UnknownMemberId):
            harness.sync("m").result()


class TestHeartbeat:
    def test_it_is_fine_before_and_after_the_assignment(self, harness: Harness) -> None:
        member_id = harness.join_new().result().member_id
        harness.heartbeat(member_id)
        harness.assign_all()
        harness.heartbeat(member_id)
        assert harness.state == "Stable"

    def test_it_keeps_a_member_in_its_group(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        for _ in range(5):
            harness.advance(SESSION_MS - 1)
            harness.heartbeat(member_id)
        harness.advance(SESSION_MS)
        with pytest.raises(UnknownMemberId):
            harness.heartbeat(member_id)

    def test_during_a_rebalance_it_says_so_and_counts_all_the_same(self, harness: Harness) -> None:
        leader, follower = harness.stabilize(2)
        harness.join(leader)
        for _ in range(3):
            harness.advance(SESSION_MS - 1)
            with pytest.raises(RebalanceInProgress):
                harness.heartbeat(follower)
        assert follower in harness.group.members

    def test_it_must_come_from_a_member_of_this_generation(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        with pytest.raises(IllegalGeneration):
            harness.heartbeat(member_id, 2)
        with pytest.raises(UnknownMemberId):
            harness.heartbeat("stranger")
        with pytest.raises(UnknownMemberId):
            harness.heartbeat(member_id, instance="i")

    def test_who_has_only_been_given_an_id_is_no_member(self, harness: Harness) -> None:
        harness.stabilize(1)
        with pytest.raises(UnknownMemberId):
            harness.heartbeat(harness.member_id())


class TestLeave:
    def test_the_others_rebalance(self, harness: Harness) -> None:
        first, second = harness.stabilize(2)
        assert harness.leave(first) == first
        assert harness.state == "PreparingRebalance"
        assert harness.join(second).result().leader == second

    def test_who_waits_for_something_is_answered(self, harness: Harness) -> None:
        leader, follower = harness.stabilize(2)
        joining = harness.join(leader)
        harness.leave(leader)
        assert isinstance(joining.error, UnknownMemberId)
        harness.join(follower)
        syncing = harness.sync(follower)
        harness.leave(follower)
        assert isinstance(syncing.error, UnknownMemberId)
        assert harness.state == "Empty"

    def test_a_static_member_can_be_removed_by_its_instance_id(self, harness: Harness) -> None:
        first, second = harness.stabilize_static("i", "j")
        assert harness.leave(instance="i") == first
        assert list(harness.group.members) == [second]

    def test_strangers_cannot_leave(self, harness: Harness) -> None:
        harness.stabilize(1)
        for member_id, instance in (("stranger", None), ("", None), ("", "i"), ("stranger", "i")):
            with pytest.raises(UnknownMemberId):
                harness.leave(member_id, instance)
        assert harness.state == "Stable"

    def test_a_member_that_was_succeeded_cannot_remove_its_successor(self, harness: Harness) -> None:
        (old,) = harness.stabilize_static("i")
        harness.join(instance="i")
        harness.written()
        with pytest.raises(FencedInstanceId):
            harness.leave(old, "i")
        assert len(harness.group.members) == 1

    def test_who_has_only_been_given_an_id_can_give_it_back(self, harness: Harness) -> None:
        member_id = harness.member_id()
        assert harness.leave(member_id) == member_id
        with pytest.raises(UnknownMemberId):
            harness.join(member_id).result()

    def test_members_that_leave_together_leave_an_empty_group(self, harness: Harness) -> None:
        for member_id in harness.stabilize(3):
            harness.leave(member_id)
        assert harness.state == "Empty"
        assert harness.group.generation_id == 2


class TestCommit:
    def test_members_of_this_generation_may(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        harness.check_commit(member_id)
        with pytest.raises(IllegalGeneration):
            harness.check_commit(member_id, 0)
        with pytest.raises(UnknownMemberId):
            harness.check_commit("stranger")

    def test_it_counts_as_a_heartbeat(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        harness.advance(SESSION_MS - 1)
        harness.check_commit(member_id)
        harness.advance(SESSION_MS - 1)
        assert member_id in harness.group.members

    def test_it_is_allowed_during_a_rebalance_so_that_members_can_finish(self, harness: Harness) -> None:
        leader, follower = harness.stabilize(2)
        harness.join(leader)
        harness.check_commit(follower)

    def test_it_is_not_allowed_between_generation_and_assignment(self, harness: Harness) -> None:
        member_id = harness.join_new().result().member_id
        with pytest.raises(RebalanceInProgress):
            harness.check_commit(member_id)

    def test_from_outside_it_is_allowed_only_while_the_group_is_empty(self, harness: Harness) -> None:
        harness.group.check_commit(NOBODY, harness.now_ms)
        (member_id,) = harness.stabilize(1)
        with pytest.raises(UnknownMemberId):
            harness.group.check_commit(NOBODY, harness.now_ms)
        harness.leave(member_id)
        harness.group.check_commit(NOBODY, harness.now_ms)
        with pytest.raises(UnknownMemberId):
            harness.check_commit(member_id)


class TestFetchAndDelete:
    def test_anybody_may_fetch(self, harness: Harness) -> None:
        harness.group.check_fetch(None)
        harness.stabilize(1)
        harness.group.check_fetch(None)

    def test_only_an_empty_group_may_be_deleted(self, harness: Harness) -> None:
        harness.group.check_delete()
        (member_id,) = harness.stabilize(1)
        with pytest.raises(NonEmptyGroup):
            harness.group.check_delete()
        harness.leave(member_id)
        harness.group.check_delete()

    def test_a_tombstone_deletes_the_group(self, harness: Harness) -> None:
        (record,) = harness.group.tombstones()
        assert record.key == GroupMetadataKey(group="g")
        assert record.value is None


class TestSubscriptions:
    def subscription(self, *topics: str) -> dict[str, bytes]:
        return {"range": encode_versioned(ConsumerProtocolSubscription(topics=list(topics)), 1)}

    def test_consumers_tell_which_topics_they_read(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1, protocols=self.subscription("a"))
        assert harness.group.is_subscribed_to("a")
        assert not harness.group.is_subscribed_to("b")
        harness.join_new(protocols=self.subscription("b"))
        assert harness.group.is_subscribed_to("c")  # nobody knows what they will join with
        harness.join(member_id, protocols=self.subscription("a"))
        assert harness.group.is_subscribed_to("a") and harness.group.is_subscribed_to("b")
        assert not harness.group.is_subscribed_to("c")

    def test_a_group_without_members_reads_nothing(self, harness: Harness) -> None:
        assert not harness.group.is_subscribed_to("a")
        (member_id,) = harness.stabilize(1, protocols=self.subscription("a"))
        harness.leave(member_id)
        assert not harness.group.is_subscribed_to("a")

    def test_others_may_be_reading_anything(self, harness: Harness) -> None:
        harness.stabilize(1, protocol_type="connect")
        assert harness.group.is_subscribed_to("a")

    def test_it_is_known_again_after_a_restart(self, harness: Harness) -> None:
        harness.stabilize(1, protocols=self.subscription("a"))
        again = restored(harness, harness.group.record().value)
        assert again.group.is_subscribed_to("a")
        assert not again.group.is_subscribed_to("b")


class TestRestore:
    def test_a_group_goes_on_where_it_was(self, harness: Harness) -> None:
        leader, follower = harness.stabilize(2)
        value = harness.group.record().value
        again = restored(harness, value)
        assert again.state == "Stable"
        assert again.group.leader_id == leader
        again.heartbeat(follower)
        assert again.sync(follower).result().assignment == f"for {follower}".encode()
        assert again.group.record() == harness.group.record()
        assert again.join(follower).result().generation_id == 1

    def test_its_leader_is_the_one_it_had(self, harness: Harness) -> None:
        absent, leader = harness.stabilize_static("i", "j", session_ms=100_000)
        harness.join(leader, instance="j", protocols={"range": b"2"}, session_ms=100_000)
        harness.advance(60_000)
        assert next(iter(harness.group.members)) == absent
        assert restored(harness, harness.group.record().value).group.leader_id == leader

    def test_sessions_begin_anew(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        again = restored(harness, harness.group.record().value)
        assert again.group.next_deadline_ms() == harness.now_ms + SESSION_MS
        again.advance(SESSION_MS)
        assert member_id not in again.group.members

    def test_an_empty_group_keeps_its_generation_and_its_age(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        harness.leave(member_id)
        since_ms = harness.group.empty_since_ms
        harness.clock.advance(5_000)
        again = restored(harness, harness.group.record().value)
        assert (again.state, again.group.generation_id) == ("Empty", 2)
        assert again.group.empty_since_ms == since_ms
        assert again.group.next_deadline_ms() is None
        assert again.join_new().result().generation_id == 3

    def test_static_members_keep_their_instances(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize_static("i")
        again = restored(harness, harness.group.record().value)
        with pytest.raises(FencedInstanceId):
            again.heartbeat("another", instance="i")
        again.heartbeat(member_id, instance="i")

    def test_a_record_of_old_has_no_age(self, harness: Harness) -> None:
        value = GroupMetadataValue(protocol_type="consumer", generation=4, protocol=None, leader=None, members=[])
        assert restored(harness, value).group.empty_since_ms == harness.clock.now_ms()

    def test_a_group_that_never_had_members_has_no_type(self, harness: Harness) -> None:
        assert harness.group.empty_since_ms is None
        value = harness.group.record().value
        assert value.protocol_type == ""
        assert restored(harness, value).group.protocol_type is None


def test_consumers_that_were_together_in_another_way_become_a_stable_group(harness: Harness) -> None:
    members = [
        Member.from_attempt(f"m{number}", join_attempt(protocols={"range": b"", "sticky": b""}), assignment=b"x")
        for number in range(2)
    ]
    group = ClassicGroup.of_consumers(
        "g", 7, members, GroupLimits(), harness.new_member_id, now_ms=harness.now_ms, clock=harness.clock
    )
    harness.group = group
    assert (harness.state, group.generation_id, group.protocol_name, group.leader_id) == ("Stable", 7, "range", "m0")
    assert harness.sync("m1").result().assignment == b"x"
    group.start_rebalance("the protocol has changed", harness.now_ms)
    with pytest.raises(RebalanceInProgress):
        harness.heartbeat("m1")


class TestDescriptions:
    def test_a_stable_group_tells_all(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1, client_id="shop")
        described = harness.group.describe()
        assert (described.state, described.protocol_type, described.protocol_name) == ("Stable", "consumer", "range")
        assert described.members == (
            MemberDescription(
                member_id, None, Client("shop", "/127.0.0.1"), b"range-metadata", f"for {member_id}".encode()
            ),
        )
        assert harness.group.listing() == GroupListing("g", "consumer", "Stable", "classic")

    def test_during_a_rebalance_only_who_is_in_it(self, harness: Harness) -> None:
        member_id = harness.join_new().result().member_id
        described = harness.group.describe()
        assert (described.state, described.protocol_name) == ("CompletingRebalance", "")
        assert [(member.member_id, member.metadata) for member in described.members] == [(member_id, b"")]

    def test_a_group_without_members_has_no_type(self, harness: Harness) -> None:
        assert harness.group.is_empty
        assert harness.group.describe().members == ()
        assert harness.group.listing() == GroupListing("g", "", "Empty", "classic")


def test_a_group_that_is_closed_answers_whoever_waits_and_nobody_after(harness: Harness) -> None:
    leader, follower = harness.stabilize(2)
    joining = harness.join(leader)
    error = NotCoordinator("moved")
    harness.group.close(error)
    assert joining.error is error
    assert harness.group.next_deadline_ms() is None
    harness.group.expire(harness.now_ms + 10 * SESSION_MS)
    assert harness.state == "Dead"
    assert not harness.group.is_empty
    for call in (
        lambda: harness.heartbeat(follower),
        lambda: harness.sync(follower).result(),
        lambda: harness.join(follower).result(),
        lambda: harness.group.leave(LeavingMember(follower, None), harness.now_ms),
        lambda: harness.group.check_commit(NOBODY, harness.now_ms),
        lambda: harness.group.check_fetch(None),
        harness.group.check_delete,
    ):
        with pytest.raises(CoordinatorNotAvailable):
            call()


def test_an_assignment_that_becomes_durable_after_the_group_was_closed_changes_nothing(harness: Harness) -> None:
    member_id = harness.join_new().result().member_id
    waiting = harness.sync(member_id, {member_id: b"x"})
    writes = harness.group.take_writes()
    harness.group.close(NotCoordinator("moved"))
    for write in writes:
        assert write.done is not None
        write.done(None)
    assert isinstance(waiting.error, NotCoordinator)
    assert harness.state == "Dead"
