"""Random clients, a random disk and random time against one group: what must hold whatever they do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.classic.states import ClassicState
from minikafka.coordinator.group.values import (
    GroupLimits,
    GroupRecord,
    JoinResult,
    NewMemberId,
    SyncResult,
    Write,
)
from minikafka.errors import KafkaError, StorageError
from tests.minikafka.coordinator.group.classic.harness import RANGE, Harness, Reply, join_attempt

FOREVER_MS = 3_600_000

instances = st.sampled_from([None, None, "i", "j"])
protocols = st.sampled_from(
    [
        {"range": b"1"},
        {"range": b"2"},
        {"range": b"1", "sticky": b"1"},
        {"sticky": b"1", "range": b"1"},
        {"sticky": b"1"},
    ]
)
sessions_ms = st.sampled_from([6_000, 10_000, 400_000])
rebalances_ms = st.sampled_from([0, 5_000, 30_000])
delays_ms = st.sampled_from([1, 1, 400, 400, 3_000, 3_000, 7_000, 40_000, 310_000])


@dataclass
class Request:
    """A request that waits for its answer; ``identity`` is an instance, or a member id."""

    identity: str | None
    generation_id: int
    reply: Reply[JoinResult] | Reply[SyncResult]


@dataclass
class Knowledge:
    """What a client remembers of the group."""

    instance: str | None
    joined: JoinResult | None = None


@dataclass
class Disk:
    """What is on its way to the log, and what has arrived."""

    writes: list[Write] = field(default_factory=list)
    last: GroupRecord | None = None


class GroupModel(RuleBasedStateMachine):
    """Each assignment says for which generation and for whom it was made: ``<generation>:<identity>``."""

    def __init__(self) -> None:
        super().__init__()
        self.clients: dict[str, Knowledge] = {}
        self.waiting: list[Request] = []
        self.disk = Disk()
        self.last_generation = 0
        self.leaders: dict[int, set[str]] = defaultdict(set)

    @initialize(delay_ms=st.sampled_from([0, 2_000]), max_size=st.sampled_from([2, 5]))
    def begin(self, delay_ms: int, max_size: int) -> None:
        self.limits = GroupLimits(initial_rebalance_delay_ms=delay_ms, max_size=max_size)
        self.harness = Harness(self.limits)

    @property
    def group(self) -> ClassicGroup:
        return self.harness.group

    def client(self, data) -> str | None:
        """One that has been given an id, or None when there is none yet."""
        return data.draw(st.sampled_from(sorted(self.clients))) if self.clients else None

    @rule(
        instance=instances,
        protocols=protocols,
        session_ms=sessions_ms,
        rebalance_ms=rebalances_ms,
        known_id=st.booleans(),
        skipping=st.booleans(),
    )
    def a_client_without_id_joins(self, instance, protocols, session_ms, rebalance_ms, known_id, skipping) -> None:
        self.join(
            join_attempt(
                instance=instance,
                protocols=protocols,
                session_ms=session_ms,
                rebalance_ms=rebalance_ms,
                requires_known_member_id=known_id,
                supports_skip_assignment=skipping,
            )
        )

    @rule(data=st.data(), protocols=protocols, session_ms=sessions_ms, rebalance_ms=rebalances_ms)
    def a_client_joins_again(self, data, protocols, session_ms, rebalance_ms) -> None:
        if (member_id := self.client(data)) is not None:
            self.join(
                join_attempt(
                    member_id,
                    instance=self.clients[member_id].instance,
                    protocols=protocols,
                    session_ms=session_ms,
                    rebalance_ms=rebalance_ms,
                )
            )

    @rule(protocols=protocols)
    def everybody_joins_again(self, protocols) -> None:
        for member_id, member in list(self.group.members.items()):
            self.clients.setdefault(member_id, Knowledge(member.group_instance_id))
            self.join(join_attempt(member_id, instance=member.group_instance_id, protocols=protocols))

    @rule(newcomer=instances)
    def the_group_settles(self, newcomer) -> None:
        self.a_client_without_id_joins(newcomer, RANGE, 10_000, 30_000, known_id=False, skipping=True)
        self.everybody_joins_again(RANGE)
        self.harness.advance(4_000)
        self.answers_are_heard()
        self.everybody_syncs()
        while self.disk.writes:
            self.finish_write(works=True)

    @precondition(lambda self: self.group.state is ClassicState.STABLE)
    @rule(instance=st.sampled_from(["i", "j"]), skipping=st.booleans(), protocols=st.just(RANGE) | protocols)
    def an_instance_restarts_in_a_stable_group(self, instance, skipping, protocols) -> None:
        self.a_client_without_id_joins(instance, protocols, 10_000, 30_000, known_id=True, skipping=skipping)

    def join(self, attempt) -> None:
        reply = self.harness.send_join(attempt)
        if isinstance(reply.error, NewMemberId):
            self.clients[reply.error.member_id] = Knowledge(attempt.group_instance_id)
        else:
            self.waiting.append(Request(attempt.group_instance_id, 0, reply))

    @rule(data=st.data())
    def a_client_syncs(self, data) -> None:
        if (member_id := self.client(data)) is not None:
            self.sync(member_id)

    @rule()
    def everybody_syncs(self) -> None:
        for member_id in list(self.group.members):
            if member_id in self.clients:
                self.sync(member_id)

        self.answers_are_heard()

    def sync(self, member_id: str) -> None:
        known = self.clients[member_id]
        if known.joined is None:
            return
        generation_id = known.joined.generation_id
        assignments = {
            member.member_id: f"{generation_id}:{member.group_instance_id or member.member_id}".encode()
            for member in known.joined.members
        }
        reply = self.harness.sync(member_id, assignments, generation_id=generation_id, instance=known.instance)
        self.waiting.append(Request(known.instance or member_id, generation_id, reply))

    @rule(data=st.data())
    def a_client_sends_a_heartbeat_or_commits(self, data) -> None:
        if (member_id := self.client(data)) is None:
            return
        known = self.clients[member_id]
        generation_id = known.joined.generation_id if known.joined else -1
        send = data.draw(st.sampled_from([self.harness.heartbeat, self.harness.check_commit]))
        try:
            send(member_id, generation_id, known.instance)
        except KafkaError:
            return
        assert self.group.is_empty or generation_id == self.group.generation_id

    @rule(data=st.data())
    def a_client_leaves(self, data) -> None:
        if (member_id := self.client(data)) is None:
            return
        try:
            self.harness.leave(member_id, self.clients[member_id].instance)
        except KafkaError:
            return
        assert member_id not in self.group.members

    @rule(instance=st.sampled_from(["i", "j"]))
    def an_administrator_removes_an_instance(self, instance) -> None:
        try:
            member_id = self.harness.leave(instance=instance)
        except KafkaError:
            return
        assert member_id not in self.group.members

    @rule(data=st.data())
    def a_client_goes_away_without_waiting(self, data) -> None:
        unanswered = [request for request in self.waiting if not request.reply.done()]
        if unanswered:
            data.draw(st.sampled_from(unanswered)).reply.cancelled = True

    @rule(works=st.sampled_from([True, True, True, False]))
    def the_disk_is_done_with_one_write(self, works: bool) -> None:
        if self.disk.writes:
            self.finish_write(works)

    def finish_write(self, works: bool) -> None:
        write = self.disk.writes.pop(0)
        if works:
            (self.disk.last,) = write.records
        if write.done is not None:
            write.done(None if works else StorageError("a test"))
        self.disk.writes.extend(self.group.take_writes())

    @rule(ms=delays_ms)
    def time_passes(self, ms: int) -> None:
        self.harness.advance(ms)

    @precondition(lambda self: self.disk.last is not None)
    @rule()
    def the_broker_starts_again(self) -> None:
        assert self.disk.last is not None
        self.waiting.clear()
        self.disk.writes.clear()
        self.harness.group = ClassicGroup.restore(
            "g",
            self.disk.last.value,
            self.limits,
            self.harness.new_member_id,
            self.harness.now_ms,
            clock=self.harness.clock,
        )
        self.last_generation = self.group.generation_id
        for generation_id in [known for known in self.leaders if known > self.last_generation]:
            del self.leaders[generation_id]

    @invariant()
    def answers_are_heard(self) -> None:
        self.disk.writes.extend(self.group.take_writes())
        for request in [request for request in self.waiting if request.reply.done()]:
            self.waiting.remove(request)
            answer = request.reply.answer
            if isinstance(answer, JoinResult):
                self.hear_join(request, answer)
            elif isinstance(answer, SyncResult):
                assert answer.assignment == f"{request.generation_id}:{request.identity}".encode()

    def hear_join(self, request: Request, result: JoinResult) -> None:
        assert result.generation_id > 0
        self.clients[result.member_id] = Knowledge(request.identity, result)
        if result.members:
            assert result.leader == result.member_id
            assert result.member_id in {member.member_id for member in result.members}
            self.leaders[result.generation_id].add(request.identity or result.member_id)

    @invariant()
    def there_is_one_leader_in_a_generation(self) -> None:
        assert all(len(identities) == 1 for identities in self.leaders.values())

    @invariant()
    def nobody_who_waits_is_forgotten(self) -> None:
        promises = [promise for member in self.group.members.values() for promise in (member.joining, member.syncing)]
        for request in self.waiting:
            assert request.reply in promises

    @invariant()
    def the_leader_is_a_member(self) -> None:
        assert self.group.leader_id in self.group.members if self.group.members else self.group.leader_id is None

    @invariant()
    def an_instance_is_one_member(self) -> None:
        used = [member.group_instance_id for member in self.group.members.values() if member.group_instance_id]
        assert len(used) == len(set(used))

    @invariant()
    def generations_only_grow(self) -> None:
        assert self.group.generation_id >= self.last_generation
        self.last_generation = self.group.generation_id

    @invariant()
    def members_of_a_stable_group_have_what_their_leader_gave_them(self) -> None:
        if self.harness.state == "Stable":
            for member in self.group.members.values():
                identity = member.group_instance_id or member.member_id
                assert member.assignment == f"{self.group.generation_id}:{identity}".encode()

    @invariant()
    def a_group_with_members_never_stops(self) -> None:
        members = self.group.members.values()
        assert sum(member.joining is not None for member in members) == self.group._rebalance.members.joining_count
        if members:
            deadline_ms = self.group.next_deadline_ms()
            assert deadline_ms is not None
            assert deadline_ms <= min(member.deadline_ms for member in members)

    def teardown(self) -> None:
        if not hasattr(self, "harness"):
            return
        while self.waiting or not self.group.is_empty:
            before = (len(self.waiting), self.group.generation_id, self.harness.state, len(self.disk.writes))
            while self.disk.writes:
                self.finish_write(works=True)
            self.harness.advance(FOREVER_MS)
            self.answers_are_heard()
            after = (len(self.waiting), self.group.generation_id, self.harness.state, len(self.disk.writes))
            assert before != after, "somebody waits for ever"
        assert not self.group.members
        self.harness.advance(FOREVER_MS)
        assert self.group.next_deadline_ms() is None


TestGroupModel = GroupModel.TestCase
TestGroupModel.settings = settings(max_examples=100, stateful_step_count=40)
