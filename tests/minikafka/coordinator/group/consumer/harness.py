"""A group under test: requests as short calls, consumers that do as they are told, and time that moves when told."""

from __future__ import annotations

from minikafka.coordinator.group.consumer.group import ConsumerGroup
from minikafka.coordinator.group.consumer.member import JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, Member
from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS, Partitions, minus
from minikafka.coordinator.group.values import (
    Client,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
    GroupLimits,
    GroupRecord,
    MemberClaim,
)
from tests.support.group_topics import Topics

CLIENT = Client("client", "/127.0.0.1")
SESSION_MS = 45_000
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


def settle(*consumers: Consumer) -> None:
    """Heartbeats of all of them, until nothing changes any more."""
    for _ in range(MANY_ROUNDS):
        if not sum(consumer.beat() for consumer in consumers):
            return
    raise AssertionError("the group does not come to rest")


def count(partitions: Partitions) -> int:
    return sum(map(len, partitions.values()))


def is_shared_out(topics: Topics, name: str, *consumers: Consumer) -> bool:
    """Whether each partition of a topic has one of the consumers, and one only."""
    left = topics.partitions(name)
    for consumer in consumers:
        mine = {topic_id: found for topic_id, found in consumer.owned.items() if topics.topic_name(topic_id) == name}
        if count(minus(left, mine)) != count(left) - count(mine):
            return False
        left = minus(left, mine)
    return not left
