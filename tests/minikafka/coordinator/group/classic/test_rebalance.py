import pytest

from minikafka.coordinator.group.classic.joining import NEW_MEMBER_JOIN_TIMEOUT_MS
from minikafka.coordinator.group.classic.rebalance import EXPECTED_MEMBERS_WAIT_MS
from minikafka.coordinator.group.values import GroupLimits
from minikafka.errors import NotCoordinator, RebalanceInProgress, UnknownMemberId
from tests.minikafka.coordinator.group.classic.harness import REBALANCE_MS, SESSION_MS, Harness

DELAY_MS = 3_000


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture
def delayed() -> Harness:
    return Harness(GroupLimits(initial_rebalance_delay_ms=DELAY_MS))


def keep_alive(harness: Harness, ms: int, *member_ids: str) -> None:
    """Let time pass while these members send heartbeats."""
    while ms > 0:
        for member_id in member_ids:
            if member_id in harness.group.members:
                try:
                    harness.heartbeat(member_id)
                except RebalanceInProgress:
                    assert harness.state == "PreparingRebalance"
        step_ms = min(ms, SESSION_MS - 1)
        harness.advance(step_ms)
        ms -= step_ms


class TestFirstRebalance:
    def test_without_delay_it_waits_only_for_clients_that_are_coming_back(self, harness: Harness) -> None:
        first_id, second_id = harness.member_id(), harness.member_id()
        first = harness.join(first_id)
        assert not first.done()
        second = harness.join(second_id)
        assert len(first.result().members) == 2
        assert second.result().generation_id == 1

    def test_without_delay_it_does_not_wait_long_for_a_client_that_does_not_come_back(self, harness: Harness) -> None:
        harness.member_id()
        first = harness.join_new()
        harness.advance(EXPECTED_MEMBERS_WAIT_MS - 1)
        assert not first.done()
        harness.advance(1)
        assert len(first.result().members) == 1

    def test_with_delay_it_waits_for_it_even_when_all_known_members_have_joined(self, delayed: Harness) -> None:
        reply = delayed.join_new()
        delayed.advance(DELAY_MS - 1)
        assert not reply.done()
        delayed.advance(1)
        assert reply.result().generation_id == 1

    def test_members_that_arrive_prolong_the_delay(self, delayed: Harness) -> None:
        first = delayed.join_new()
        delayed.advance(DELAY_MS - 1)
        second = delayed.join_new()
        delayed.advance(DELAY_MS)
        assert not first.done()
        delayed.advance(1)
        assert len(first.result().members) == 2
        assert second.result().generation_id == 1

    def test_the_delay_ends_with_the_rebalance_timeout(self, delayed: Harness) -> None:
        first = delayed.join_new(rebalance_ms=2 * DELAY_MS + 500)
        for _ in range(6):
            delayed.join_new(rebalance_ms=0)
            assert not first.done()
            delayed.advance(DELAY_MS / 3)
        delayed.join_new(rebalance_ms=0)
        delayed.advance(499)
        assert not first.done()
        delayed.advance(1)
        assert len(first.result().members) == 8

    def test_when_all_leave_during_the_delay_the_group_is_empty_after_it(self, delayed: Harness) -> None:
        member_id = delayed.member_id()
        reply = delayed.join(member_id)
        delayed.leave(member_id)
        assert isinstance(reply.error, UnknownMemberId)
        delayed.advance(DELAY_MS)
        assert delayed.state == "Empty"

    def test_a_second_rebalance_is_not_delayed(self, delayed: Harness) -> None:
        first = delayed.join_new()
        delayed.advance(DELAY_MS)
        member_id = first.result().member_id
        delayed.assign_all()
        assert delayed.join(member_id).result().generation_id == 2

    def test_a_group_that_was_empty_waits_again(self, delayed: Harness) -> None:
        first = delayed.join_new()
        delayed.advance(DELAY_MS)
        delayed.leave(first.result().member_id)
        assert delayed.state == "Empty"
        again = delayed.join_new()
        assert not again.done()
        delayed.advance(DELAY_MS)
        assert again.result().generation_id == 3


class TestJoinPhase:
    def test_all_members_are_answered_together_and_only_the_leader_gets_the_list(self, harness: Harness) -> None:
        leader, follower = harness.stabilize(2)
        third = harness.join_new()
        assert harness.state == "PreparingRebalance"
        with pytest.raises(RebalanceInProgress):
            harness.heartbeat(leader)
        first = harness.join(leader)
        assert not first.done() and not third.done()
        second = harness.join(follower)
        assert [len(reply.result().members) for reply in (first, second, third)] == [3, 0, 0]
        assert {reply.result().generation_id for reply in (first, second, third)} == {2}

    def test_who_does_not_join_within_the_longest_rebalance_timeout_is_dropped(self, harness: Harness) -> None:
        slow, quick = harness.stabilize(2, rebalance_ms=REBALANCE_MS)
        reply = harness.join(quick, protocols={"range": b"2"}, rebalance_ms=5_000)
        keep_alive(harness, REBALANCE_MS - 1, slow)
        assert not reply.done()
        keep_alive(harness, 1, slow)
        assert [member.member_id for member in reply.result().members] == [quick]
        assert reply.result().leader == quick
        with pytest.raises(UnknownMemberId):
            harness.heartbeat(slow)

    def test_a_static_member_that_does_not_join_stays(self, harness: Harness) -> None:
        first, second = harness.stabilize_static("i", "j", session_ms=2 * REBALANCE_MS)
        reply = harness.join(second, instance="j", protocols={"range": b"2"}, session_ms=2 * REBALANCE_MS)
        harness.advance(REBALANCE_MS)
        assert {member.member_id for member in reply.result().members} == {first, second}
        assert reply.result().leader == second

    def test_when_no_static_member_joins_their_sessions_empty_the_group(self, harness: Harness) -> None:
        harness.stabilize_static("i", session_ms=7 * REBALANCE_MS // 2)
        harness.group.start_rebalance("a test", harness.now_ms)
        harness.advance(3 * REBALANCE_MS)
        assert harness.state == "PreparingRebalance"
        harness.advance(REBALANCE_MS)
        assert harness.state == "Empty"

    def test_absent_static_members_that_want_no_wait_do_not_keep_the_timer_busy(self, harness: Harness) -> None:
        harness.stabilize_static("i", rebalance_ms=0)
        harness.group.start_rebalance("a test", harness.now_ms)
        harness.advance(SESSION_MS)
        assert harness.state == "Empty"

    def test_a_new_member_is_not_blamed_for_what_held_up_its_first_generation(self, harness: Harness) -> None:
        wait_ms = NEW_MEMBER_JOIN_TIMEOUT_MS
        (silent,) = harness.stabilize(1, session_ms=wait_ms, rebalance_ms=2 * wait_ms)
        new = harness.join(requires_known_member_id=False)
        harness.advance(wait_ms)  # to the moment when both sessions are over
        assert [member.member_id for member in new.result().members] == list(harness.group.members)
        assert silent not in harness.group.members

    def test_a_member_that_waits_needs_no_heartbeats(self, harness: Harness) -> None:
        leader, silent = harness.stabilize(2)
        reply = harness.join(leader)
        keep_alive(harness, REBALANCE_MS - 1, silent)
        assert leader in harness.group.members
        assert not reply.done()

    def test_a_member_that_waits_but_whose_client_has_gone_needs_them(self, harness: Harness) -> None:
        leader, other = harness.stabilize(2)
        reply = harness.join(leader)
        reply.cancelled = True
        keep_alive(harness, 2 * SESSION_MS, other)
        assert leader not in harness.group.members
        assert other in harness.group.members

    def test_a_rebalance_goes_on_when_the_last_who_is_missing_leaves_or_dies(self, harness: Harness) -> None:
        leader, leaving, dying = harness.stabilize(3)
        reply = harness.join(leader)
        harness.leave(leaving)
        assert not reply.done()
        harness.advance(SESSION_MS)
        assert [member.member_id for member in reply.result().members] == [leader]
        assert dying not in harness.group.members

    def test_a_rebalance_waits_for_clients_that_are_coming_back(self, harness: Harness) -> None:
        (leader,) = harness.stabilize(1)
        expected = harness.member_id()
        reply = harness.join(leader)
        assert not reply.done()
        harness.leave(expected)
        assert reply.result().generation_id == 2

    def test_a_rebalance_does_not_wait_for_them_longer_than_their_session(self, harness: Harness) -> None:
        (leader,) = harness.stabilize(1)
        harness.member_id()
        reply = harness.join(leader)
        harness.advance(SESSION_MS)
        assert reply.result().generation_id == 2

    def test_when_everybody_has_left_the_group_is_empty_and_says_so_in_the_log(self, harness: Harness) -> None:
        first, second = harness.stabilize(2)
        harness.leave(first)
        harness.leave(second)
        assert harness.state == "Empty"
        (write,) = harness.written()
        value = write.records[0].value
        assert (value.generation, value.protocol_type, value.protocol) == (2, "consumer", None)
        assert (value.leader, value.members) == (None, [])
        assert value.current_state_timestamp == harness.clock.now_ms() == harness.group.empty_since_ms


class TestSyncPhase:
    def test_followers_get_their_assignment_when_the_leader_brings_it_and_it_is_durable(self, harness: Harness) -> None:
        ids = [harness.member_id() for _ in range(3)]
        for member_id in ids:
            harness.join(member_id)
        leader, before, after = ids
        early = harness.sync(before)
        own = harness.sync(leader, {leader: b"1", before: b"2", after: b"3"})
        assert not early.done() and not own.done()
        (write,) = harness.group.take_writes()
        assert harness.state == "CompletingRebalance"
        assert write.done is not None
        write.done(None)
        assert harness.state == "Stable"
        assert (own.result().assignment, early.result().assignment) == (b"1", b"2")
        late = harness.sync(after).result()
        assert (late.assignment, late.protocol_type, late.protocol_name) == (b"3", "consumer", "range")
        (record,) = write.records
        assert record.key.group == "g"
        assert [member.assignment for member in record.value.members] == [b"1", b"2", b"3"]
        assert (record.value.generation, record.value.protocol, record.value.leader) == (1, "range", leader)

    def test_who_the_leader_has_forgotten_gets_nothing(self, harness: Harness) -> None:
        leader, follower = (reply.result().member_id for reply in join_two(harness))
        harness.sync(leader, {leader: b"1", "somebody else": b"2"})
        harness.written()
        assert harness.sync(follower).result().assignment == b""

    def test_when_the_assignment_cannot_be_written_all_are_told_and_join_again(self, harness: Harness) -> None:
        leader, follower = (reply.result().member_id for reply in join_two(harness))
        replies = [harness.sync(follower), harness.sync(leader, {follower: b"x"})]
        error = NotCoordinator("moved")
        harness.written(error)
        assert [reply.error for reply in replies] == [error, error]
        assert harness.state == "PreparingRebalance"
        assert harness.group.next_deadline_ms() is not None
        harness.join(leader)
        assert harness.join(follower).result().generation_id == 2
        assert harness.group.members[follower].assignment == b""

    def test_an_assignment_is_written_once_even_if_the_leader_repeats_it(self, harness: Harness) -> None:
        leader = harness.join_new().result().member_id
        first = harness.sync(leader, {leader: b"1"})
        second = harness.sync(leader, {leader: b"2"})
        assert len(harness.written()) == 1
        assert isinstance(first.error, RebalanceInProgress)
        assert second.result().assignment == b"1"

    def test_an_assignment_that_is_durable_only_after_the_next_rebalance_is_not_given_out(
        self, harness: Harness
    ) -> None:
        leader = harness.join_new().result().member_id
        reply = harness.sync(leader, {leader: b"old"})
        assert harness.join(leader, protocols={"range": b"2"}).result().generation_id == 2
        assert isinstance(reply.error, RebalanceInProgress)
        again = harness.sync(leader, {leader: b"new"})
        first, second = harness.group.take_writes()
        assert first.done is not None and second.done is not None
        first.done(None)
        assert not again.done()
        second.done(None)
        assert again.result().assignment == b"new"

    def test_members_that_do_not_sync_are_dropped_after_the_rebalance_timeout(self, harness: Harness) -> None:
        leader, silent = (reply.result().member_id for reply in join_two(harness))
        harness.sync(leader, {leader: b"1"})
        harness.written()
        keep_alive(harness, REBALANCE_MS - 1, leader, silent)
        assert harness.state == "Stable"
        keep_alive(harness, 1, leader, silent)
        assert harness.state == "PreparingRebalance"
        assert list(harness.group.members) == [leader]

    def test_a_leader_that_does_not_sync_is_dropped_and_the_others_join_again(self, harness: Harness) -> None:
        leader, follower = (reply.result().member_id for reply in join_two(harness))
        waiting = harness.sync(follower)
        keep_alive(harness, REBALANCE_MS, leader)
        assert isinstance(waiting.error, RebalanceInProgress)
        assert list(harness.group.members) == [follower]
        assert harness.join(follower).result().leader == follower

    def test_a_follower_that_waits_for_the_leader_needs_no_heartbeats(self, harness: Harness) -> None:
        leader, follower = (reply.result().member_id for reply in join_two(harness))
        waiting = harness.sync(follower)
        keep_alive(harness, REBALANCE_MS - 1, leader)
        assert not waiting.done()
        harness.sync(leader, {follower: b"x"})
        harness.written()
        assert waiting.result().assignment == b"x"
        harness.advance(1)
        assert follower in harness.group.members

    def test_when_nobody_syncs_the_group_becomes_empty(self, harness: Harness) -> None:
        leader, follower = (reply.result().member_id for reply in join_two(harness))
        keep_alive(harness, REBALANCE_MS, leader, follower)
        assert harness.state == "Empty"

    def test_a_rebalance_takes_back_what_was_assigned_before(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        harness.join(member_id)
        harness.join(member_id, protocols={"range": b"2"})
        assert harness.group.members[member_id].assignment == b""

    def test_when_everybody_has_synced_nothing_more_is_due(self, harness: Harness) -> None:
        leader, follower = harness.stabilize(2)
        keep_alive(harness, 2 * REBALANCE_MS, leader, follower)
        assert (harness.state, harness.group.generation_id) == ("Stable", 1)


class TestSessions:
    def test_a_silent_member_is_removed_and_the_others_rebalance(self, harness: Harness) -> None:
        alive, silent = harness.stabilize(2)
        harness.advance(SESSION_MS - 1)
        harness.heartbeat(alive)
        assert harness.state == "Stable"
        harness.advance(1)
        assert list(harness.group.members) == [alive]
        assert silent not in harness.group.members
        assert harness.state == "PreparingRebalance"

    def test_it_begins_anew_with_the_generation(self, harness: Harness) -> None:
        silent = harness.join_new().result().member_id
        harness.advance(SESSION_MS - 1)
        assert silent in harness.group.members
        harness.advance(1)
        assert silent not in harness.group.members

    @pytest.mark.parametrize("request_name", ["sync", "join"])
    def test_a_request_counts_as_a_heartbeat(self, harness: Harness, request_name: str) -> None:
        _, follower = harness.stabilize(2)
        harness.advance(SESSION_MS - 1)
        getattr(harness, request_name)(follower).result()
        harness.advance(SESSION_MS - 1)
        assert list(harness.group.members) == [follower]

    def test_the_deadline_is_kept_lazily(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        deadline_ms = harness.group.next_deadline_ms()
        harness.now_ms += 5_000
        harness.heartbeat(member_id)
        assert harness.group.next_deadline_ms() == deadline_ms
        harness.advance(5_000)
        assert harness.group.next_deadline_ms() == harness.now_ms + 5_000
        assert harness.state == "Stable"

    def test_nothing_is_due_before_its_time(self, harness: Harness) -> None:
        (member_id,) = harness.stabilize(1)
        deadline_ms = harness.group.next_deadline_ms()
        assert deadline_ms == harness.now_ms + SESSION_MS
        harness.group.expire(deadline_ms - 1)
        assert member_id in harness.group.members


def join_two(harness: Harness):
    ids = [harness.member_id(), harness.member_id()]
    return [harness.join(member_id) for member_id in ids]
