import pytest

from minikafka.coordinator.group.classic.joining import NEW_MEMBER_JOIN_TIMEOUT_MS
from minikafka.coordinator.group.values import GroupLimits, JoinedMember, NewMemberId
from minikafka.errors import (
    CoordinatorNotAvailable,
    FencedInstanceId,
    GroupMaxSizeReached,
    InconsistentGroupProtocol,
    InvalidSessionTimeout,
    NotCoordinator,
    RebalanceInProgress,
    StorageError,
    UnknownMemberId,
)
from tests.minikafka.coordinator.group.classic.harness import REBALANCE_MS, SESSION_MS, Harness


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_a_new_member_is_sent_away_with_an_id_and_joins_with_it(harness: Harness) -> None:
    reply = harness.join(client_id="shop")
    assert isinstance(reply.error, NewMemberId)
    assert reply.error.member_id == "shop-1"
    assert (harness.state, dict(harness.group.members)) == ("Empty", {})
    result = harness.join("shop-1").result()
    assert (result.member_id, result.generation_id, result.leader) == ("shop-1", 1, "shop-1")
    assert (result.protocol_type, result.protocol_name) == ("consumer", "range")
    assert result.members == (JoinedMember("shop-1", None, b"range-metadata"),)
    assert not result.skip_assignment


def test_before_version_4_a_new_member_joins_with_one_request(harness: Harness) -> None:
    assert harness.join(requires_known_member_id=False).result().generation_id == 1


def test_an_id_that_is_not_used_within_the_session_timeout_is_forgotten(harness: Harness) -> None:
    member_id = harness.member_id()
    harness.advance(SESSION_MS)
    with pytest.raises(UnknownMemberId):
        harness.join(member_id).result()


def test_an_id_that_nobody_was_given_is_unknown(harness: Harness) -> None:
    with pytest.raises(UnknownMemberId):
        harness.join("made-up").result()
    harness.stabilize(1)
    with pytest.raises(UnknownMemberId):
        harness.join("made-up").result()


@pytest.mark.parametrize(("session_ms", "is_allowed"), [(5_999, False), (6_000, True), (10_000, True), (10_001, False)])
def test_session_timeouts_have_bounds(session_ms: int, is_allowed: bool) -> None:
    harness = Harness(GroupLimits(min_session_timeout_ms=6_000, max_session_timeout_ms=10_000))
    error = harness.join(session_ms=session_ms).error
    assert isinstance(error, NewMemberId if is_allowed else InvalidSessionTimeout)


@pytest.mark.parametrize("fields", [{"protocol_type": ""}, {"protocols": {}}])
def test_the_first_member_must_name_a_protocol(harness: Harness, fields) -> None:
    with pytest.raises(InconsistentGroupProtocol):
        harness.join(**fields).result()


@pytest.mark.parametrize("fields", [{"protocol_type": "connect"}, {"protocols": {"sticky": b""}}])
def test_later_members_must_agree_with_the_others(harness: Harness, fields) -> None:
    (member_id,) = harness.stabilize(1)
    with pytest.raises(InconsistentGroupProtocol):
        harness.join(**fields).result()
    with pytest.raises(InconsistentGroupProtocol):
        harness.join(member_id, **fields).result()
    assert harness.state == "Stable"


def test_an_empty_group_may_become_something_else(harness: Harness) -> None:
    (member_id,) = harness.stabilize(1)
    harness.leave(member_id)
    result = harness.join_new(protocol_type="connect", protocols={"sessioned": b""}).result()
    assert (result.protocol_type, result.protocol_name) == ("connect", "sessioned")


def test_a_member_with_a_new_protocol_makes_the_group_vote_again(harness: Harness) -> None:
    both = {"range": b"", "sticky": b""}
    first, second = harness.stabilize(2, protocols=both)
    assert harness.group.protocol_name == "range"
    harness.join(second, protocols={"sticky": b"2"})
    assert harness.state == "PreparingRebalance"
    assert harness.join(first, protocols=both).result().protocol_name == "sticky"


def test_a_follower_that_joins_again_unchanged_is_told_its_generation(harness: Harness) -> None:
    leader, follower = harness.stabilize(2)
    result = harness.join(follower).result()
    assert (result.generation_id, result.leader, result.members) == (1, leader, ())
    assert harness.state == "Stable"
    assert harness.sync(follower).result().assignment == f"for {follower}".encode()


def test_a_leader_that_joins_again_asks_for_a_rebalance(harness: Harness) -> None:
    leader, follower = harness.stabilize(2)
    reply = harness.join(leader)
    assert harness.state == "PreparingRebalance"
    assert not reply.done()
    assert harness.join(follower).result().generation_id == reply.result().generation_id == 2


def test_a_follower_with_other_metadata_asks_for_a_rebalance(harness: Harness) -> None:
    leader, follower = harness.stabilize(2)
    reply = harness.join(follower, protocols={"range": b"other topics"})
    assert harness.state == "PreparingRebalance"
    members = harness.join(leader).result().members
    assert reply.result().generation_id == 2
    assert members[1] == JoinedMember(follower, None, b"other topics")


def test_before_the_assignment_an_unchanged_member_is_told_its_generation_again(harness: Harness) -> None:
    member_id = harness.member_id()
    first = harness.join(member_id).result()
    assert harness.state == "CompletingRebalance"
    assert harness.join(member_id).result() == first
    assert harness.state == "CompletingRebalance"


def test_before_the_assignment_a_changed_member_begins_the_rebalance_again(harness: Harness) -> None:
    member_id = harness.member_id()
    harness.join(member_id)
    assert harness.join(member_id, protocols={"range": b"2"}).result().generation_id == 2


def test_a_repeated_join_takes_the_place_of_the_one_that_waits(harness: Harness) -> None:
    leader, follower = harness.stabilize(2)
    first = harness.join(leader)
    second = harness.join(leader)
    assert isinstance(first.error, RebalanceInProgress)
    harness.join(follower)
    assert second.result().generation_id == 2


def test_a_new_member_that_waits_too_long_for_its_generation_is_removed(harness: Harness) -> None:
    harness.stabilize(1, rebalance_ms=2 * NEW_MEMBER_JOIN_TIMEOUT_MS, session_ms=1_800_000)
    reply = harness.join(requires_known_member_id=False)
    harness.advance(NEW_MEMBER_JOIN_TIMEOUT_MS - 1)
    assert not reply.done()
    harness.advance(1)
    assert isinstance(reply.error, UnknownMemberId)


class TestGroupMaxSize:
    def test_there_is_no_room_for_one_more(self) -> None:
        harness = Harness(GroupLimits(max_size=2))
        first, second = harness.stabilize(2)
        with pytest.raises(GroupMaxSizeReached):
            harness.join().result()
        harness.join(first)
        assert harness.join(second).result().generation_id == 2
        with pytest.raises(GroupMaxSizeReached):
            harness.join().result()

    def test_during_a_rebalance_the_first_to_join_stay(self) -> None:
        harness = Harness(GroupLimits(max_size=2))
        ids = [harness.member_id() for _ in range(3)]
        replies = [harness.join(member_id) for member_id in ids]
        assert isinstance(replies[2].error, GroupMaxSizeReached)
        assert replies[0].result().generation_id == replies[1].result().generation_id == 1
        assert list(harness.group.members) == ids[:2]

    def test_where_the_limit_was_lowered_the_last_to_join_must_go(self) -> None:
        record = restored_record(3)
        harness = Harness()
        limits = GroupLimits(max_size=2)
        harness.group = harness.group.restore("g", record.value, limits, harness.new_member_id, 0, clock=harness.clock)
        assert harness.state == "PreparingRebalance"
        first, second, third = harness.group.members
        harness.join(first)
        waiting = [harness.join(second), harness.join(first)]
        assert isinstance(harness.join(third).error, GroupMaxSizeReached)
        assert [reply.result().generation_id for reply in waiting] == [2, 2]
        assert list(harness.group.members) == [first, second]

    def test_a_static_member_has_its_place_also_when_it_restarts(self) -> None:
        harness = Harness(GroupLimits(max_size=1))
        harness.stabilize_static("i")
        reply = harness.join(instance="i")
        harness.written()
        assert reply.result().generation_id == 1


def restored_record(size: int):
    harness = Harness()
    harness.stabilize(size)
    return harness.group.record()


class TestStaticMembers:
    def test_one_gets_its_id_at_once(self, harness: Harness) -> None:
        assert harness.join(instance="i").result().member_id == "i-1"
        assert harness.group.members["i-1"].group_instance_id == "i"

    def test_a_restart_keeps_generation_and_assignment(self, harness: Harness) -> None:
        old, other = harness.stabilize_static("i", "j")
        assert harness.group.leader_id == old
        generation_id = harness.group.generation_id
        reply = harness.join(instance="j")
        assert not reply.done()
        (write,) = harness.written()
        new = reply.result()
        assert new.member_id != other
        assert (new.generation_id, new.leader, new.members) == (generation_id, old, ())
        assert not new.skip_assignment
        assert harness.state == "Stable"
        recorded = write.records[0].value.members
        assert {member.member_id: member.assignment for member in recorded} == {
            old: f"for {old}".encode(),
            new.member_id: f"for {other}".encode(),
        }
        assert harness.sync(new.member_id, instance="j").result().assignment == f"for {other}".encode()

    def test_a_restarted_leader_is_told_not_to_assign(self, harness: Harness) -> None:
        harness.stabilize_static("i", "j")
        reply = harness.join(instance="i")
        harness.written()
        result = reply.result()
        assert result.skip_assignment
        assert result.leader == result.member_id == harness.group.leader_id
        assert {member.member_id for member in result.members} == set(harness.group.members)

    def test_a_restarted_leader_that_knows_no_skipping_is_told_that_it_follows(self, harness: Harness) -> None:
        old, _ = harness.stabilize_static("i", "j")
        reply = harness.join(instance="i", supports_skip_assignment=False)
        harness.written()
        result = reply.result()
        assert (result.leader, result.members, result.skip_assignment) == (old, (), False)
        assert harness.group.leader_id == result.member_id

    def test_the_old_id_is_fenced(self, harness: Harness) -> None:
        (old,) = harness.stabilize_static("i")
        harness.join(instance="i")
        harness.written()
        with pytest.raises(FencedInstanceId):
            harness.join(old, instance="i").result()
        with pytest.raises(FencedInstanceId):
            harness.heartbeat(old, instance="i")
        with pytest.raises(FencedInstanceId):
            harness.sync(old, instance="i").result()
        with pytest.raises(FencedInstanceId):
            harness.check_commit(old, instance="i")
        with pytest.raises(UnknownMemberId):
            harness.heartbeat(old)

    def test_who_waits_under_the_old_id_is_fenced_too(self, harness: Harness) -> None:
        old, _ = harness.stabilize_static("i", "j")
        waiting = harness.join(old, instance="i")
        harness.join(instance="i")
        assert isinstance(waiting.error, FencedInstanceId)

    def test_a_restart_that_changes_the_vote_rebalances(self, harness: Harness) -> None:
        both = {"range": b"", "sticky": b""}
        harness.stabilize_static("i", protocols=both)
        result = harness.join(instance="i", protocols={"sticky": b"", "range": b""}).result()
        assert (result.generation_id, result.protocol_name) == (2, "sticky")
        assert harness.state == "CompletingRebalance"

    def test_a_restart_before_the_assignment_rebalances(self, harness: Harness) -> None:
        first = harness.join(instance="i").result()
        waiting = harness.sync(first.member_id, {first.member_id: b"x"}, instance="i")
        second = harness.join(instance="i").result()
        assert second.generation_id == first.generation_id + 1
        assert isinstance(waiting.error, FencedInstanceId)
        harness.written()
        assert harness.state == "CompletingRebalance"
        assert harness.group.members[second.member_id].assignment == b""

    def test_a_restart_during_a_rebalance_joins_it(self, harness: Harness) -> None:
        first, second = harness.stabilize_static("i", "j")
        waiting = harness.join(first, instance="i")
        result = harness.join(instance="j").result()
        assert result.member_id != second
        assert waiting.result().generation_id == result.generation_id

    def test_when_the_new_id_cannot_be_written_the_old_one_stays(self, harness: Harness) -> None:
        old, _ = harness.stabilize_static("i", "j")
        reply = harness.join(instance="i", session_ms=SESSION_MS + 1)
        error = StorageError("disk")
        harness.written(error)
        assert reply.error is error
        harness.heartbeat(old, instance="i")
        assert harness.group.leader_id == old
        assert harness.group.members[old].session_timeout_ms == SESSION_MS
        assert harness.sync(old, instance="i").result().assignment == f"for {old}".encode()

    def test_a_second_restart_succeeds_the_first_which_is_not_written_yet(self, harness: Harness) -> None:
        harness.stabilize_static("i")
        first, second = harness.join(instance="i"), harness.join(instance="i")
        assert isinstance(first.error, FencedInstanceId)
        harness.written()
        assert second.result().member_id in harness.group.members

    def test_a_rebalance_that_begins_before_the_new_id_is_written_answers_the_member(self, harness: Harness) -> None:
        first, _ = harness.stabilize_static("i", "j")
        generation_id = harness.group.generation_id
        reply = harness.join(instance="j")
        leader = harness.join(first, instance="i")
        assert reply.result().generation_id == leader.result().generation_id == generation_id + 1
        harness.written(StorageError("too late to matter"))
        assert reply.result().member_id in harness.group.members

    def test_the_new_id_has_to_sync_where_the_old_one_had_to(self, harness: Harness) -> None:
        first, second = harness.stabilize_static("i", "j")
        harness.join(first, instance="i")
        harness.join(second, instance="j")
        harness.sync(first, {second: b"x"}, instance="i")
        harness.written()
        assert harness.state == "Stable"  # and the second member has not synced
        new = harness.join(instance="j")
        harness.written()
        for _ in range(REBALANCE_MS // SESSION_MS + 1):
            for member in list(harness.group.members.values()):
                if harness.state == "Stable":
                    harness.heartbeat(member.member_id, instance=member.group_instance_id)
            harness.advance(SESSION_MS - 1)
        assert new.result().member_id not in harness.group.members

    def test_the_old_id_has_to_sync_no_more(self, harness: Harness) -> None:
        first, second = harness.stabilize_static("i", "j")
        harness.join(first, instance="i")
        harness.join(second, instance="j")
        harness.sync(first, {second: b"x"}, instance="i")
        harness.written()
        new = harness.join(instance="j")
        harness.written()
        assert harness.sync(new.result().member_id, instance="j").result().assignment == b"x"
        for _ in range(2 * REBALANCE_MS // SESSION_MS):
            harness.advance(SESSION_MS - 1)
            harness.heartbeat(first, instance="i")
            harness.heartbeat(new.result().member_id, instance="j")
        assert harness.state == "Stable"

    def test_a_restarted_member_has_a_session(self, harness: Harness) -> None:
        first, _ = harness.stabilize_static("i", "j")
        new = harness.join(instance="j")
        harness.written()
        harness.advance(SESSION_MS - 1)
        harness.heartbeat(first, instance="i")
        harness.advance(1)
        assert new.result().member_id not in harness.group.members

    @pytest.mark.parametrize("error", [None, StorageError("disk")])
    def test_a_member_in_a_rebalance_is_not_answered_when_its_new_id_is_written(
        self, harness: Harness, error: StorageError | None
    ) -> None:
        first, _ = harness.stabilize_static("i", "j")
        reply = harness.join(instance="j")
        harness.group.start_rebalance("a test", harness.now_ms)
        harness.written(error)
        assert not reply.done()
        harness.join(first, instance="i")
        assert reply.result().generation_id == harness.group.generation_id

    def test_when_the_ids_of_two_restarts_cannot_be_written_the_group_has_one_member(self, harness: Harness) -> None:
        (old,) = harness.stabilize_static("i")
        first, second = harness.join(instance="i"), harness.join(instance="i")
        harness.written(StorageError("disk"))
        assert isinstance(first.error, FencedInstanceId)
        assert isinstance(second.error, StorageError)
        (left,) = harness.group.members.values()
        assert left.assignment == f"for {old}".encode()

    def test_an_instance_cannot_use_an_id_that_was_given_to_a_client_without(self, harness: Harness) -> None:
        member_id = harness.member_id()
        with pytest.raises(UnknownMemberId):
            harness.join(member_id, instance="i").result()


def test_a_group_that_is_closed_takes_nobody(harness: Harness) -> None:
    harness.group.close(NotCoordinator("moved"))
    with pytest.raises(CoordinatorNotAvailable):
        harness.join().result()
