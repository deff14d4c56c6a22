"""A group under test: requests as short calls, consumers that do as they are told, and time that moves when told."""

from __future__ import annotations

from collections.abc import Sequence

from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.consumer.member import JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, Member
from minikafka.coordinator.group.consumer.partitions import (
    NO_PARTITIONS,
    Partitions,
    TopicIdPartition,
    gather,
    minus,
)
from minikafka.coordinator.group.values import (
    Client,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
    GroupLimits,
    GroupRecord,
    JoinResult,
    LeavingMember,
    MemberClaim,
    NewMemberId,
    SyncAttempt,
    SyncResult,
)
from minikafka.errors import RebalanceInProgress
from minikafka.protocol.payloads.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
)
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned
from tests.minikafka.coordinator.group.classic.harness import Reply, join_attempt
from tests.support.group_topics import Topics

CLIENT = Client("client", "/127.0.0.1")
SESSION_MS = 45_000
CLASSIC_SESSION_MS = 10_000
REBALANCE_MS = 60_000
MANY_ROUNDS = 30


class Harness:
    """One group; ``log`` has all records that it wanted written."""

    def __init__(self, limits: GroupLimits | None = None, **topics: int) -> None:
        self.now_ms = 1_000.0
        self.limits = limits or GroupLimits()
        self.topics = Topics(**(topics or {"orders": 4}))
        self.log: list[GroupRecord] = []
        self.ids = 0
        self.group = self.new_group()

    def new_group(self) -> ConsumerGroup:
        return ConsumerGroup("g", self.limits, self.topics, self.new_member_id)

    def new_member_id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}-{self.ids}"

    @property
    def group_epoch(self) -> int:
        return self.group.describe_consumer().group_epoch

    @property
    def state(self) -> str:
        return self.group.state.value

    def member(self, member_id: str) -> Member:
        return self.group.members[member_id]

    def beat(self, member_id: str, epoch: int, **fields) -> ConsumerHeartbeatResult:
        """A heartbeat; what is not given has not changed."""
        try:
            beat = ConsumerHeartbeat("g", member_id, epoch, CLIENT, **fields)
            return self.group.consumer_heartbeat(beat, self.now_ms)
        finally:
            self.write()

    def join(self, member_id: str, *topics: str, **fields) -> ConsumerHeartbeatResult:
        fields.setdefault("rebalance_timeout_ms", REBALANCE_MS)
        if "subscribed_topic_regex" not in fields:
            fields["subscribed_topic_names"] = topics or ("orders",)
        return self.beat(member_id, JOIN_EPOCH, owned={}, **fields)

    def claim(self, member_id: str, epoch: int) -> MemberClaim:
        return MemberClaim(member_id, None, epoch)

    def write(self) -> list[GroupRecord]:
        """Let what is to be written become durable; returns what that was."""
        written = []
        for write in self.group.take_writes():
            written += write.records
            if write.done is not None:
                write.done(None)
        self.log += written
        return written

    def advance(self, ms: float) -> None:
        """Let time pass, with a call for each deadline on the way."""
        end_ms = self.now_ms + ms
        while (deadline_ms := self.group.next_deadline_ms()) is not None and deadline_ms <= end_ms:
            self.now_ms = max(self.now_ms, deadline_ms)
            self.group.expire(self.now_ms)
            self.write()
        self.now_ms = end_ms

    def restart(self) -> None:
        """Put another in the place of the group, from its records."""
        self.group = self.new_group()
        for record in self.log:
            self.group.replay(record)
        self.group.loaded(self.now_ms)

    def orders(self, *numbers: int) -> Partitions:
        """Partitions of ``orders``."""
        return self.topics.partitions("orders", numbers)


class Consumer:
    """A member that reads what it is given, and lets go at once what it shall not have."""

    def __init__(self, harness: Harness, member_id: str, *topics: str, **fields) -> None:
        self.harness = harness
        self.member_id = member_id
        self.instance_id: str | None = fields.get("instance_id")
        self.topics = topics
        self.fields = fields
        self.epoch = JOIN_EPOCH
        self.owned = NO_PARTITIONS
        self.said = NO_PARTITIONS
        """What the coordinator knows that it owns."""

    def join(self) -> Consumer:
        self.owned = self.said = NO_PARTITIONS
        self.hear(self.harness.join(self.member_id, *self.topics, **self.fields))
        return self

    def beat(self) -> bool:
        """A heartbeat as clients send it; says whether anything changed."""
        before = (self.epoch, self.owned, self.said)
        self.hear(self.send())
        return (self.epoch, self.owned, self.said) != before

    def send(self) -> ConsumerHeartbeatResult:
        """Only what has changed, and its answer, which may be lost."""
        has_changed = self.owned != self.said
        fields = {"owned": self.owned} if has_changed else {}
        result = self.harness.beat(self.member_id, self.epoch, instance_id=self.instance_id, **fields)
        self.said = self.owned
        return result

    def hear(self, result: ConsumerHeartbeatResult) -> None:
        self.epoch = result.member_epoch
        if result.assignment is not None:
            self.owned = result.assignment

    def leave(self) -> None:
        self.harness.beat(self.member_id, LEAVE_EPOCH, instance_id=self.instance_id)
        self.owned = self.said = NO_PARTITIONS

    def leave_for_a_while(self) -> None:
        self.harness.beat(self.member_id, LEAVE_STATIC_EPOCH, instance_id=self.instance_id)
        self.owned = self.said = NO_PARTITIONS


class ClassicConsumer:
    """A member that speaks the classic protocol, and keeps what it has while it joins again (KIP-429)."""

    def __init__(
        self,
        harness: Harness,
        *topics: str,
        instance_id: str | None = None,
        session_ms: int = CLASSIC_SESSION_MS,
        protocols: Sequence[str] = ("cooperative-sticky",),
    ) -> None:
        self.harness = harness
        self.topics = topics
        self.instance_id = instance_id
        self.session_ms = session_ms
        self.protocols = protocols
        self.member_id = ""
        self.generation_id = -1
        self.owned = NO_PARTITIONS

    def subscription(self) -> bytes:
        owned = [
            TopicPartition(topic=self.harness.topics.topic_name(topic_id) or "gone", partitions=sorted(numbers))
            for topic_id, numbers in self.owned.items()
        ]
        said = ConsumerProtocolSubscription(topics=list(self.topics), owned_partitions=owned)
        return encode_versioned(said, 1)

    def send_join(self, *, requires_known_member_id: bool = True) -> Reply[JoinResult]:
        metadata = self.subscription()
        attempt = join_attempt(
            self.member_id,
            instance=self.instance_id,
            protocols=dict.fromkeys(self.protocols, metadata),
            session_ms=self.session_ms,
            rebalance_ms=REBALANCE_MS,
            requires_known_member_id=requires_known_member_id,
        )
        reply: Reply[JoinResult] = Reply()
        self.harness.group.join(attempt, reply, self.harness.now_ms)
        self.harness.write()
        return reply

    def join(self) -> ClassicConsumer:
        """JoinGroup, a second time when an id was given, and SyncGroup."""
        reply = self.send_join()
        if isinstance(reply.error, NewMemberId):
            self.member_id = reply.error.member_id
            reply = self.send_join()
        joined = reply.result()
        self.member_id, self.generation_id = joined.member_id, joined.generation_id
        self.sync()
        return self

    def sync(self, **fields) -> bytes:
        reply: Reply[SyncResult] = Reply()
        known = {"protocol_type": "consumer", "protocol_name": self.protocols[0], **fields}
        attempt = SyncAttempt("g", self.member_id, self.instance_id, self.generation_id, assignments={}, **known)
        self.harness.group.sync(attempt, reply, self.harness.now_ms)
        self.harness.write()
        assignment = reply.result().assignment
        decoded = decode_versioned(ConsumerProtocolAssignment, assignment).assigned_partitions
        self.owned = gather(
            TopicIdPartition(self.harness.topics.topic_id(topic.topic) or b"", number)
            for topic in decoded
            for number in topic.partitions
        )
        return assignment

    @property
    def claim(self) -> MemberClaim:
        return MemberClaim(self.member_id, self.instance_id, self.generation_id)

    def heartbeat(self) -> None:
        try:
            self.harness.group.heartbeat(self.claim, self.harness.now_ms)
        finally:
            self.harness.write()

    def beat(self) -> bool:
        """A heartbeat, and what follows from it; says whether anything changed."""
        try:
            self.heartbeat()
        except RebalanceInProgress:
            self.join()
            return True
        return False

    def leave(self) -> None:
        self.harness.group.leave(LeavingMember(self.member_id, self.instance_id), self.harness.now_ms)
        self.harness.write()
        self.owned = NO_PARTITIONS


def settle(*consumers: Consumer | ClassicConsumer) -> None:
    """Heartbeats of all of them, until nothing changes any more."""
    for _ in range(MANY_ROUNDS):
        if not sum(consumer.beat() for consumer in consumers):
            return
    raise AssertionError("the group does not come to rest")


def count(partitions: Partitions) -> int:
    return sum(map(len, partitions.values()))


def is_shared_out(topics: Topics, name: str, *consumers: Consumer | ClassicConsumer) -> bool:
    """Whether each partition of a topic has one of the consumers, and one only."""
    left = topics.partitions(name)
    for consumer in consumers:
        mine = {topic_id: found for topic_id, found in consumer.owned.items() if topics.topic_name(topic_id) == name}
        if count(minus(left, mine)) != count(left) - count(mine):
            return False
        left = minus(left, mine)
    return not left
