"""Random consumers of both protocols, answers that get lost, and changing topics: what must hold whatever they do.

A consumer reads what it was told, from when it acts on that.  One that crashes has stopped reading; the coordinator
learns of it when the session is over.  At every step a partition is read by one consumer at most, and the coordinator
knows by whom; when everybody has had time to settle, exactly one consumer reads each partition that anybody wants.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minikafka.coordinator.group.consumer.member import JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH
from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, Partitions, TopicIdPartition, each, is_within
from minikafka.coordinator.group.values import GroupLimits
from minikafka.errors import (
    FencedInstanceId,
    FencedMemberEpoch,
    GroupMaxSizeReached,
    IllegalGeneration,
    KafkaError,
    UnknownMemberId,
    UnreleasedInstanceId,
)
from tests.minikafka.coordinator.group.consumer.harness import (
    CLASSIC_SESSION_MS,
    REBALANCE_MS,
    SESSION_MS,
    ClassicConsumer,
    Harness,
)

TOPICS = ("orders", "others", "returns")
MANY_ROUNDS = 40

subscriptions = st.sampled_from([("orders",), ("orders", "returns"), ("others",), ()])
expressions = st.sampled_from([None, None, None, "o.*", "ret.*", ".*"])
assignors = st.sampled_from([None, None, "uniform", "range"])
instances = st.sampled_from([None, None, "i", "j"])
turns = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from([False, False, True])), min_size=1, max_size=6
)
"""Who sends a heartbeat, whether it does as it was told before, and whether the answer gets lost."""
delays_ms = st.sampled_from([1_000, 1_000, 5_000, 9_000, 20_000, 40_000])


class Reader:
    """A consumer of the consumer protocol, as a client keeps it."""

    def __init__(self, member_id: str, names: tuple[str, ...], expression: str | None, instance_id: str | None) -> None:
        self.member_id = member_id
        self.names = names
        self.expression = expression
        self.instance_id = instance_id
        self.assignor: str | None = None
        self.epoch = JOIN_EPOCH
        self.told: Partitions = NO_PARTITIONS
        self.owned: Partitions = NO_PARTITIONS
        """What it reads."""
        self.must_say_everything = True

    def wants(self, topic: str) -> bool:
        return topic in self.names or (self.expression is not None and bool(re.fullmatch(self.expression, topic)))

    def start_over(self) -> None:
        """Give up everything, and join."""
        self.epoch, self.told, self.owned, self.must_say_everything = JOIN_EPOCH, NO_PARTITIONS, NO_PARTITIONS, True

    def heartbeat(self, harness: Harness, *, is_answer_lost: bool = False) -> None:
        fields = {"owned": self.owned}
        if self.must_say_everything:
            fields |= {
                "rebalance_timeout_ms": REBALANCE_MS,
                "subscribed_topic_names": self.names,
                "subscribed_topic_regex": self.expression or "",
                "server_assignor": self.assignor,
            }
        try:
            answer = harness.beat(self.member_id, self.epoch, instance_id=self.instance_id, **fields)
        except (FencedMemberEpoch, FencedInstanceId, UnknownMemberId, UnreleasedInstanceId):
            self.start_over()
            return
        self.must_say_everything = is_answer_lost
        if is_answer_lost:
            return
        self.epoch = answer.member_epoch
        if answer.assignment is not None:
            self.told = answer.assignment

    def act(self) -> None:
        """Read what it was told, and nothing else."""
        self.owned = self.told


class GroupModel(RuleBasedStateMachine):
    """``readers`` and ``classics`` are those that live."""

    @initialize(orders=st.integers(1, 5), others=st.integers(0, 3), max_size=st.sampled_from([3, 100]))
    def begin(self, orders: int, others: int, max_size: int) -> None:
        self.harness = Harness(GroupLimits(consumer_max_size=max_size), orders=orders, others=others)
        self.readers: list[Reader] = []
        self.classics: list[ClassicConsumer] = []
        self.count = 0
        self.last_epoch = 0

    def heartbeat_of(self, reader: Reader, *, is_answer_lost: bool = False) -> None:
        try:
            reader.heartbeat(self.harness, is_answer_lost=is_answer_lost)
        except GroupMaxSizeReached:  # it was away, and others came meanwhile
            reader.start_over()
            self.readers = [other for other in self.readers if other is not reader]

    def one_of(self, data, candidates: list):
        return candidates[data.draw(st.integers(0, len(candidates) - 1))]

    # Consumers

    @rule(names=subscriptions, expression=expressions, instance=instances, assignor=assignors)
    def a_consumer_joins(self, names, expression, instance, assignor) -> None:
        self.count += 1
        reader = Reader(f"m{self.count}", names, expression, instance)
        reader.assignor = assignor
        try:
            reader.heartbeat(self.harness)
        except KafkaError:
            return  # the group is full
        if reader.epoch != JOIN_EPOCH:
            self.readers.append(reader)

    @precondition(lambda self: self.readers)
    @rule(turns=turns)
    def consumers_send_heartbeats(self, turns) -> None:
        readers = list(self.readers)
        for number, acts, is_answer_lost in turns:
            reader = readers[number % len(readers)]
            if acts:
                reader.act()
            self.heartbeat_of(reader, is_answer_lost=is_answer_lost)
            self.a_partition_is_read_by_one_at_most()
            self.the_coordinator_knows_who_reads_what()

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_consumer_does_as_it_was_told(self, data) -> None:
        self.one_of(data, self.readers).act()

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), names=subscriptions, expression=expressions)
    def a_consumer_subscribes_to_something_else(self, data, names, expression) -> None:
        reader = self.one_of(data, self.readers)
        reader.names, reader.expression, reader.must_say_everything = names, expression, True

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_consumer_starts_over(self, data) -> None:
        reader = self.one_of(data, self.readers)
        reader.start_over()
        self.heartbeat_of(reader)

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), for_good=st.booleans())
    def a_consumer_leaves(self, data, for_good) -> None:
        reader = self.one_of(data, self.readers)
        self.readers.remove(reader)
        epoch = LEAVE_EPOCH if for_good or reader.instance_id is None else LEAVE_STATIC_EPOCH
        try:
            self.harness.beat(reader.member_id, epoch, instance_id=reader.instance_id)
        except (UnknownMemberId, FencedInstanceId):
            return

    @precondition(lambda self: any(reader.instance_id for reader in self.readers))
    @rule(data=st.data())
    def an_instance_restarts(self, data) -> None:
        reader = self.one_of(data, [reader for reader in self.readers if reader.instance_id])
        self.readers.remove(reader)
        try:
            self.harness.beat(reader.member_id, LEAVE_STATIC_EPOCH, instance_id=reader.instance_id)
        except (UnknownMemberId, FencedInstanceId):
            return
        self.a_consumer_joins(reader.names, reader.expression, reader.instance_id, reader.assignor)

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_consumer_crashes(self, data) -> None:
        self.readers.remove(self.one_of(data, self.readers))

    # Members of the classic protocol

    @rule(names=st.sampled_from([("orders",), ("orders", "others")]))
    def a_classic_consumer_joins(self, names) -> None:
        consumer = ClassicConsumer(self.harness, *names)
        try:
            consumer.join()
        except KafkaError:
            return
        self.classics.append(consumer)

    @precondition(lambda self: self.classics)
    @rule(data=st.data())
    def a_classic_consumer_sends_a_heartbeat(self, data) -> None:
        self.beat_of(self.one_of(data, self.classics))

    def beat_of(self, consumer: ClassicConsumer) -> bool:
        try:
            return consumer.beat()
        except (IllegalGeneration, UnknownMemberId):
            self.classics.remove(consumer)
            return True

    @precondition(lambda self: self.classics)
    @rule(data=st.data(), says_so=st.booleans())
    def a_classic_consumer_is_gone(self, data, says_so) -> None:
        consumer = self.one_of(data, self.classics)
        self.classics.remove(consumer)
        if says_so:
            try:
                consumer.leave()
            except UnknownMemberId:
                return

    # The world around them

    @rule(name=st.sampled_from(TOPICS), count=st.integers(1, 6))
    def a_topic_is_made_or_made_anew(self, name, count) -> None:
        self.harness.topics.create(name, count)

    @precondition(lambda self: self.harness.topics.names())
    @rule(data=st.data(), more=st.integers(1, 3))
    def a_topic_grows(self, data, more) -> None:
        name = self.one_of(data, self.harness.topics.names())
        self.harness.topics.grow(name, self.harness.topics.partition_count(name) + more)

    @precondition(lambda self: self.harness.topics.names())
    @rule(data=st.data())
    def a_topic_is_deleted(self, data) -> None:
        self.harness.topics.delete(self.one_of(data, self.harness.topics.names()))

    @rule(ms=delays_ms)
    def time_passes(self, ms) -> None:
        self.harness.advance(ms)
        # Those whose sessions are over have noticed that themselves, and stopped reading.
        members = self.harness.group.members
        for reader in self.readers:
            if reader.member_id not in members:
                reader.start_over()
        self.classics = [consumer for consumer in self.classics if consumer.member_id in members]

    @rule()
    def the_broker_starts_again(self) -> None:
        before = self.harness.group.describe_consumer()
        self.harness.restart()
        assert self.harness.group.describe_consumer() == before

    @rule()
    def everybody_settles(self) -> None:
        """All have time: those that crashed are removed, the others come to have what they shall have."""
        for _ in range(0, SESSION_MS + REBALANCE_MS, CLASSIC_SESSION_MS // 2):
            self.everybody_beats()
            self.time_passes(CLASSIC_SESSION_MS // 2)
        rounds = 0
        while self.everybody_beats():
            rounds += 1
            assert rounds < MANY_ROUNDS, "the group does not come to rest"
        assert self.harness.state == ("Stable" if self.readers or self.classics else "Empty")
        assert Counter(pair for pair, _ in self.reading()) == Counter(self.wanted())

    def everybody_beats(self) -> bool:
        """Heartbeats of all that live; says whether anything changed."""
        has_changed = False
        for reader in list(self.readers):
            before = (reader.epoch, reader.told, reader.owned, reader.must_say_everything)
            self.heartbeat_of(reader)
            reader.act()
            has_changed |= before != (reader.epoch, reader.told, reader.owned, reader.must_say_everything)
        for consumer in list(self.classics):
            has_changed |= self.beat_of(consumer)
        return has_changed

    def wanted(self) -> Iterator[TopicIdPartition]:
        topics = self.harness.topics
        for name in topics.names():
            if any(reader.wants(name) for reader in self.readers) or any(name in c.topics for c in self.classics):
                yield from each(topics.partitions(name))

    def reading(self) -> Iterator[tuple[TopicIdPartition, str]]:
        """Each partition that is read, and by whom."""
        for consumer in (*self.readers, *self.classics):
            for pair in each(consumer.owned):
                yield pair, consumer.member_id

    # What must hold

    @invariant()
    def a_partition_is_read_by_one_at_most(self) -> None:
        for pair, times in Counter(pair for pair, _ in self.reading()).items():
            assert times == 1, f"{pair} is read by {[name for read, name in self.reading() if read == pair]}"

    @invariant()
    def the_coordinator_knows_who_reads_what(self) -> None:
        members = self.harness.group.members
        for consumer in (*self.readers, *self.classics):
            if consumer.owned and consumer.member_id in members:
                assert is_within(consumer.owned, members[consumer.member_id].held)

    @invariant()
    def a_partition_is_promised_to_one_member_only(self) -> None:
        targets = [each(member.target_assignment) for member in self.harness.group.describe_consumer().members]
        assert max(Counter(pair for target in targets for pair in target).values(), default=1) == 1

    @invariant()
    def an_instance_is_one_member(self) -> None:
        used = [member.instance_id for member in self.harness.group.members.values() if member.instance_id]
        assert len(used) == len(set(used))

    @invariant()
    def epochs_only_grow(self) -> None:
        described = self.harness.group.describe_consumer()
        assert described.group_epoch >= self.last_epoch
        assert described.assignment_epoch <= described.group_epoch
        assert all(member.member_epoch <= described.assignment_epoch for member in described.members)
        self.last_epoch = described.group_epoch

    @invariant()
    def a_group_with_members_never_stops(self) -> None:
        if not self.harness.group.is_empty:
            assert self.harness.group.next_deadline_ms() is not None

    def teardown(self) -> None:
        if hasattr(self, "harness"):
            self.everybody_settles()
            self.readers.clear()
            self.classics.clear()
            self.harness.advance(SESSION_MS + REBALANCE_MS)
            assert self.harness.group.is_empty


TestGroupModel = GroupModel.TestCase
TestGroupModel.settings = settings(max_examples=200, stateful_step_count=40)
