"""A group that changes its protocol again and again, as members of both come and go and the broker starts again.

Members of the classic protocol are eager: they read nothing while they join.  Nothing is read by two at any time, and
when everybody has had time to settle, each partition that anybody wants is read by one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minikafka.coordinator.group.consumer.partitions import (
    NO_PARTITIONS,
    Partitions,
    TopicIdPartition,
    each,
    gather,
)
from minikafka.coordinator.group.shard import GroupShard
from minikafka.coordinator.group.values import (
    ClassicProtocol,
    Client,
    ConsumerHeartbeat,
    GroupLimits,
    JoinAttempt,
    JoinedMember,
    JoinResult,
    LeavingMember,
    MemberClaim,
    NewMemberId,
    SyncAttempt,
    SyncResult,
)
from minikafka.errors import KafkaError, NotCoordinator, UnknownMemberId
from minikafka.protocol.payloads.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
)
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned
from tests.support.clock import ManualClock
from tests.support.group_log import MemoryStateLog
from tests.support.group_topics import Topics

CLIENT = Client("client", "/127.0.0.1")
SESSION_MS = 10_000
REBALANCE_MS = 20_000
CONSUMER_SESSION_MS = 15_000
STEP_MS = 2_000
MANY_STEPS = 30

subscriptions = st.sampled_from([("orders",), ("orders", "returns"), ("returns",)])


class World:
    """One shard over a log in memory, which can be opened again."""

    def __init__(self, policy: str) -> None:
        self.clock = ManualClock()
        self.topics = Topics(orders=4, returns=2)
        self.log = MemoryStateLog()
        self.limits = GroupLimits(consumer_session_timeout_ms=CONSUMER_SESSION_MS, migration_policy=policy)
        self.shard = self._open()

    def restart(self) -> None:
        self.shard.close(NotCoordinator("the broker stops"))
        self.shard = self._open()

    def advance(self, ms: int) -> None:
        self.clock.advance(ms)
        self.shard.expire("g")

    def _open(self) -> GroupShard:
        shard = GroupShard(self.log, self.limits, self.topics, self.clock, self._failed)
        for _ in shard.load():
            pass
        return shard

    def _failed(self, error: KafkaError) -> None:
        raise AssertionError("the state was given up") from error


class NewMember:
    """It speaks the consumer protocol, and reads what it was told at once."""

    def __init__(self, world: World, name: str, topics: tuple[str, ...]) -> None:
        self.world = world
        self.name = name
        self.topics = topics
        self.epoch = 0
        self.owned: Partitions = NO_PARTITIONS

    def step(self) -> None:
        """A heartbeat."""
        beat = ConsumerHeartbeat(
            "g",
            self.name,
            self.epoch,
            CLIENT,
            rebalance_timeout_ms=REBALANCE_MS,
            subscribed_topic_names=self.topics,
            owned=self.owned,
        )
        try:
            told = self.world.shard.consumer_heartbeat(beat).value
        except KafkaError:
            self.epoch, self.owned = 0, NO_PARTITIONS
            return
        self.epoch = told.member_epoch
        assert told.assignment is not None
        self.owned = told.assignment

    def stop(self) -> None:
        """Nobody waits for an answer any more."""

    def leave(self) -> None:
        self.world.shard.consumer_heartbeat(ConsumerHeartbeat("g", self.name, -1, CLIENT))


class OldMember:
    """It speaks the classic protocol."""

    def __init__(self, world: World, topics: tuple[str, ...]) -> None:
        self.world = world
        self.topics = topics
        self.member_id = ""
        self.generation_id = -1
        self.owned: Partitions = NO_PARTITIONS
        self.waiting: asyncio.Future[JoinResult] | asyncio.Future[SyncResult] | None = None
        self.assigned_at: int | None = None
        """The version of the topics that it assigned, if it leads."""

    def step(self) -> None:
        """Hear an answer, if one is waited for, or send a heartbeat; and do what follows from it."""
        try:
            if self.waiting is None:
                if self.generation_id < 0 or self.assigned_at not in {None, self.world.topics.version}:
                    self.join()
                else:
                    self.world.shard.heartbeat("g", MemberClaim(self.member_id, None, self.generation_id))
            elif self.waiting.done():
                answer, self.waiting = self.waiting, None
                self._hear(answer.result())
        except NewMemberId as told:
            self.member_id = told.member_id
            self.join()
        except UnknownMemberId:
            self.member_id = ""
            self.join()
        except KafkaError:
            self.join()

    def join(self) -> None:
        self.owned = NO_PARTITIONS
        metadata = encode_versioned(ConsumerProtocolSubscription(topics=list(self.topics)), 1)
        attempt = JoinAttempt(
            "g",
            self.member_id,
            None,
            CLIENT,
            "consumer",
            (ClassicProtocol("range", metadata),),
            SESSION_MS,
            REBALANCE_MS,
            requires_known_member_id=True,
            supports_skip_assignment=True,
        )
        self.waiting = self.world.shard.join(attempt)

    def stop(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()

    def leave(self) -> None:
        self.world.shard.leave("g", [LeavingMember(self.member_id, None)])

    def _hear(self, answer: JoinResult | SyncResult) -> None:
        if isinstance(answer, JoinResult):
            self.member_id, self.generation_id = answer.member_id, answer.generation_id
            self.assigned_at = self.world.topics.version if answer.members else None
            assignments = self._assign(answer.members)
            attempt = SyncAttempt("g", self.member_id, None, self.generation_id, "consumer", "range", assignments)
            self.waiting = self.world.shard.sync(attempt)
            return
        assigned = decode_versioned(ConsumerProtocolAssignment, answer.assignment).assigned_partitions
        topics = self.world.topics
        self.owned = gather(
            TopicIdPartition(topics.topic_id(topic.topic) or b"", number)
            for topic in assigned
            for number in topic.partitions
        )

    def _assign(self, members: tuple[JoinedMember, ...]) -> Mapping[str, bytes]:
        """One partition after the other to those who want it; only the leader knows of any."""
        wanted = {
            member.member_id: decode_versioned(ConsumerProtocolSubscription, member.metadata).topics
            for member in members
        }
        given: dict[str, list[TopicPartition]] = {member_id: [] for member_id in wanted}
        for name in self.world.topics.names():
            takers = [member_id for member_id, names in wanted.items() if name in names]
            for number in range(self.world.topics.partition_count(name) if takers else 0):
                taker = takers[number % len(takers)]
                given[taker].append(TopicPartition(topic=name, partitions=[number]))
        return {
            member_id: encode_versioned(ConsumerProtocolAssignment(assigned_partitions=assigned), 1)
            for member_id, assigned in given.items()
        }


class ShardModel(RuleBasedStateMachine):
    """``members`` are those that live."""

    @initialize(policy=st.sampled_from(["bidirectional", "bidirectional", "bidirectional", "upgrade"]))
    def begin(self, policy: str) -> None:
        self.runner = asyncio.Runner()
        self.members: list[NewMember | OldMember] = []
        self.count = 0

        async def make() -> World:
            return World(policy)

        self.world = self.runner.run(make())

    def within_the_loop(self, action) -> None:
        async def act() -> None:
            action()
            for _ in range(3):
                await asyncio.sleep(0)

        self.runner.run(act())

    @rule(topics=subscriptions)
    def a_member_of_the_consumer_protocol_joins(self, topics) -> None:
        self.count += 1
        self.members.append(NewMember(self.world, f"new-{self.count}", topics))
        self.within_the_loop(self.members[-1].step)

    @rule(topics=subscriptions)
    def a_classic_member_joins(self, topics) -> None:
        self.members.append(OldMember(self.world, topics))
        self.within_the_loop(self.members[-1].step)

    @precondition(lambda self: self.members)
    @rule(turns=st.lists(st.integers(0, 5), min_size=1, max_size=12))
    def members_go_on(self, turns) -> None:
        for number in turns:
            self.within_the_loop(self.members[number % len(self.members)].step)
            self.nothing_is_read_by_two()

    @precondition(lambda self: self.members)
    @rule(number=st.integers(0, 5), says_so=st.booleans())
    def a_member_is_gone(self, number, says_so) -> None:
        member = self.members.pop(number % len(self.members))
        member.stop()

        def leave() -> None:
            try:
                member.leave()
            except KafkaError:
                return

        if says_so:
            self.within_the_loop(leave)

    @rule(more=st.integers(1, 2), name=st.sampled_from(["orders", "returns"]))
    def a_topic_grows(self, more, name) -> None:
        self.world.topics.grow(name, self.world.topics.partition_count(name) + more)

    @rule(steps=st.integers(1, 3))
    def time_passes(self, steps) -> None:
        for _ in range(steps):
            self.everybody_goes_on()
            self.within_the_loop(lambda: self.world.advance(STEP_MS))

    @rule()
    def the_broker_starts_again(self) -> None:
        self.within_the_loop(self.world.restart)

    @rule()
    def everybody_settles(self) -> None:
        for _ in range(MANY_STEPS):
            self.time_passes(1)
        assert Counter(pair for pair, _ in self.reading()) == Counter(self.wanted())
        listed = self.world.shard.listings()
        if any(isinstance(member, NewMember) for member in self.members):
            assert [(group.group_type, group.state) for group in listed] == [("consumer", "Stable")]
        elif self.members and self.world.limits.migration_policy == "bidirectional":
            assert [(group.group_type, group.state) for group in listed] == [("classic", "Stable")]

    def everybody_goes_on(self) -> None:
        for member in self.members:
            self.within_the_loop(member.step)

    def wanted(self) -> Iterator[TopicIdPartition]:
        for name in self.world.topics.names():
            if any(name in member.topics for member in self.members):
                yield from each(self.world.topics.partitions(name))

    def reading(self) -> Iterator[tuple[TopicIdPartition, str]]:
        """Each partition that is read, and by whom."""
        for member in self.members:
            for pair in each(member.owned):
                yield pair, member.name if isinstance(member, NewMember) else member.member_id

    @invariant()
    def nothing_is_read_by_two(self) -> None:
        for pair, times in Counter(pair for pair, _ in self.reading()).items():
            assert times == 1, f"{pair} is read by {[name for read, name in self.reading() if read == pair]}"

    @invariant()
    def there_is_one_group_at_most(self) -> None:
        assert len(self.world.shard.listings()) <= 1

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.everybody_settles()
            finally:
                for member in self.members:
                    member.stop()
                self.within_the_loop(lambda: self.world.shard.close(NotCoordinator("the end")))
                self.runner.close()


TestShardModel = ShardModel.TestCase
TestShardModel.settings = settings(max_examples=30, stateful_step_count=30)
