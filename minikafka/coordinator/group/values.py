"""What goes in and out of groups: attempts, results, descriptions, and what is to be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from minikafka.errors import KafkaError, MemberIdRequired
from minikafka.protocol.schema import Message
from minikafka.types import NO_LEADER_EPOCH, NO_TIMESTAMP, ZERO_UUID

T_contra = TypeVar("T_contra", contravariant=True)

NO_GENERATION = -1
"""The generation of a commit that comes from no member."""

NO_MEMBER = ""
"""The member id of a client that has none yet, or needs none."""


class Promise(Protocol, Generic[T_contra]):
    """The answer that somebody waits for; an ``asyncio.Future`` is one."""

    def set_result(self, result: T_contra, /) -> None:
        """Answer."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """Refuse, with a :class:`KafkaError`."""
        ...

    def done(self) -> bool:
        """Whether it is answered, or nobody waits any more."""
        ...


class NewMemberId(MemberIdRequired):
    """A new member is to join again, with the id that it is given here (KIP-394)."""

    def __init__(self, member_id: str) -> None:
        super().__init__(f"join again as {member_id}")
        self.member_id = member_id


class GroupRecord(NamedTuple):
    """A record of ``__consumer_offsets``; without value it deletes what its key names."""

    key: Message
    value: Message | None


@dataclass(frozen=True, slots=True)
class Write:
    """Records that a group wants written together.

    ``done`` is called when they are as durable as ``acks=all`` promises, with None, or, when they could not be written,
    with the error that clients are to see.
    """

    records: tuple[GroupRecord, ...]
    done: Callable[[KafkaError | None], None] | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request: ``client_id`` as it calls itself, ``host`` as the broker sees it (``/127.0.0.1``)."""

    client_id: str
    host: str


class ClassicProtocol(NamedTuple):
    """An assignor that a member supports, and what it wants to tell it."""

    name: str
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinAttempt:
    """JoinGroup, in domain terms."""

    group_id: str
    member_id: str
    group_instance_id: str | None
    client: Client
    protocol_type: str
    protocols: tuple[ClassicProtocol, ...]
    session_timeout_ms: int
    rebalance_timeout_ms: int
    requires_known_member_id: bool
    """Whether a new member is first sent away with an id (KIP-394; since v4)."""
    supports_skip_assignment: bool
    """Whether a static leader that came back can be told not to assign (KIP-814; since v9)."""
    reason: str | None = None


class JoinedMember(NamedTuple):
    """A member as its leader sees it."""

    member_id: str
    group_instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinResult:
    """The generation that a member is part of; ``members`` only for the leader."""

    member_id: str
    generation_id: int
    protocol_type: str | None
    protocol_name: str | None
    leader: str
    members: tuple[JoinedMember, ...] = ()
    skip_assignment: bool = False


@dataclass(frozen=True, slots=True)
class SyncAttempt:
    """SyncGroup, in domain terms; ``assignments`` by member id, empty from followers."""

    group_id: str
    member_id: str
    group_instance_id: str | None
    generation_id: int
    protocol_type: str | None
    protocol_name: str | None
    assignments: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a member gets in this generation."""

    protocol_type: str | None
    protocol_name: str | None
    assignment: bytes


@dataclass(frozen=True, slots=True)
class MemberClaim:
    """Who a member says it is, in Heartbeat, OffsetCommit and OffsetFetch.

    ``generation_id`` is the member's epoch where it speaks the consumer protocol.
    """

    member_id: str
    group_instance_id: str | None
    generation_id: int


@dataclass(frozen=True, slots=True)
class LeavingMember:
    """A member to be removed: by its id, by its instance id, or by both."""

    member_id: str
    group_instance_id: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ConsumerHeartbeat:
    """ConsumerGroupHeartbeat, in domain terms; None where nothing has changed since the last.

    ``owned`` holds the partitions that the member has, by topic id.
    """

    group_id: str
    member_id: str
    member_epoch: int
    client: Client
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = -1
    subscribed_topic_names: tuple[str, ...] | None = None
    subscribed_topic_regex: str | None = None
    server_assignor: str | None = None
    owned: Mapping[bytes, frozenset[int]] | None = None


@dataclass(frozen=True, slots=True)
class ConsumerHeartbeatResult:
    """The member's epoch, and all the partitions it shall have (by topic id) when that has changed, else None."""

    member_id: str
    member_epoch: int
    heartbeat_interval_ms: int
    assignment: Mapping[bytes, frozenset[int]] | None = None


@dataclass(frozen=True, slots=True)
class MemberDescription:
    """A member of a classic group, for DescribeGroups; metadata and assignment as the members wrote them."""

    member_id: str
    group_instance_id: str | None
    client: Client
    metadata: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A group, for DescribeGroups."""

    group_id: str
    state: str
    protocol_type: str
    protocol_name: str
    members: tuple[MemberDescription, ...]


@dataclass(frozen=True, slots=True)
class ConsumerMemberDescription:
    """A member of a group of the consumer protocol, for ConsumerGroupDescribe; partitions by topic id."""

    member_id: str
    instance_id: str | None
    rack_id: str | None
    member_epoch: int
    client: Client
    subscribed_topic_names: tuple[str, ...]
    subscribed_topic_regex: str | None
    assignment: Mapping[bytes, frozenset[int]]
    target_assignment: Mapping[bytes, frozenset[int]]
    is_classic: bool


@dataclass(frozen=True, slots=True)
class ConsumerGroupDescription:
    """A group of the consumer protocol, for ConsumerGroupDescribe."""

    group_id: str
    state: str
    group_epoch: int
    assignment_epoch: int
    assignor_name: str
    members: tuple[ConsumerMemberDescription, ...]


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A group, for ListGroups; ``group_type`` is ``classic`` or ``consumer``."""

    group_id: str
    protocol_type: str
    state: str
    group_type: str


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """How far a group came in a partition: ``offset`` is that of the next record to be read.

    ``expire_timestamp_ms`` is set only by clients of old that chose the retention themselves.
    """

    offset: int
    leader_epoch: int = NO_LEADER_EPOCH
    metadata: str = ""
    commit_timestamp_ms: int = NO_TIMESTAMP
    expire_timestamp_ms: int = NO_TIMESTAMP
    topic_id: bytes = ZERO_UUID


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What the broker's configuration allows groups (``group.*``, in milliseconds)."""

    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 0
    max_size: int = 2_147_483_647
    consumer_session_timeout_ms: int = 45_000
    consumer_heartbeat_interval_ms: int = 5_000
    consumer_max_size: int = 2_147_483_647
    consumer_assignors: tuple[str, ...] = ("uniform", "range")
    migration_policy: str = "bidirectional"


class TopicsView(Protocol):
    """The topics of the cluster, as groups see them."""

    @property
    def version(self) -> int:
        """Changes whenever a topic comes, goes or grows."""
        ...

    def names(self) -> list[str]:
        """All topics, without the internal ones."""
        ...

    def topic_id(self, name: str) -> bytes | None:
        """The id of a topic, None when there is no such topic."""
        ...

    def topic_name(self, topic_id: bytes) -> str | None:
        """The name of a topic, None when there is no such topic."""
        ...

    def partition_count(self, name: str) -> int:
        """How many partitions a topic has, 0 when there is no such topic."""
        ...


class Group(Protocol):
    """What the coordinator asks of any group; ``now_ms`` is monotonic, in milliseconds.

    After each call that may change something the coordinator takes :meth:`take_writes`, and sets its timer by
    :meth:`next_deadline_ms`.
    """

    group_id: str

    @property
    def group_type(self) -> str:
        """``classic`` or ``consumer``."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether it has no members."""
        ...

    def join(self, attempt: JoinAttempt, promise: Promise[JoinResult], now_ms: float) -> None:
        """Become a member, or stay one through a rebalance; every answer, errors too, goes to ``promise``."""
        ...

    def sync(self, attempt: SyncAttempt, promise: Promise[SyncResult], now_ms: float) -> None:
        """Bring or await the assignment; every answer, errors too, goes to ``promise``."""
        ...

    def heartbeat(self, claim: MemberClaim, now_ms: float) -> None:
        """Stay a member: of a classic group, or as a classic member.

        Raises:
            KafkaError: UnknownMemberId, IllegalGeneration, FencedInstanceId, or RebalanceInProgress: join again.
        """
        ...

    def leave(self, member: LeavingMember, now_ms: float) -> str:
        """Remove a member; returns its id.

        Raises:
            KafkaError: UnknownMemberId or FencedInstanceId.
        """
        ...

    def check_commit(
        self, claim: MemberClaim, now_ms: float, *, is_transactional: bool = False, knows_epochs: bool = True
    ) -> None:
        """Check that offsets may be committed; the member's session begins anew.

        In a transaction a producer commits on the member's behalf, in any state of the group; one that does not say
        for which member is a producer of old, and believed (KIP-447).  A member of the consumer protocol has to use a
        version of the request that ``knows_epochs``.

        Raises:
            KafkaError: UnknownMemberId, IllegalGeneration, StaleMemberEpoch, FencedInstanceId, RebalanceInProgress,
                or UnsupportedVersion.
        """
        ...

    def check_fetch(self, claim: MemberClaim | None) -> None:
        """Check that a member of the consumer protocol may fetch offsets; None from anybody else.

        Raises:
            KafkaError: UnknownMemberId or StaleMemberEpoch.
        """
        ...

    def check_delete(self) -> None:
        """Check that the group may be deleted.

        Raises:
            KafkaError: NonEmptyGroup.
        """
        ...

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether members may be reading the topic, so that its offsets neither expire nor can be deleted."""
        ...

    def take_writes(self) -> list[Write]:
        """What is to be written since the last call, in this order."""
        ...

    def tombstones(self) -> tuple[GroupRecord, ...]:
        """The records that delete the group (its offsets are not its own)."""
        ...

    def next_deadline_ms(self) -> float | None:
        """When :meth:`expire` has something to do, at the earliest; None: never."""
        ...

    def expire(self, now_ms: float) -> None:
        """Do what is due: members whose sessions are over leave, rebalances that waited long enough go on."""
        ...

    def describe(self) -> GroupDescription:
        """The group, for DescribeGroups."""
        ...

    def listing(self) -> GroupListing:
        """The group, for ListGroups."""
        ...
