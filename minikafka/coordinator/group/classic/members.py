"""The members of a classic group: who they are, who leads, and what they all support."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from minikafka.coordinator.group.classic.member import Member, answer, refuse
from minikafka.coordinator.group.values import ClassicProtocol, JoinAttempt, JoinResult, Promise
from minikafka.errors import FencedInstanceId, KafkaError, RebalanceInProgress, UnknownMemberId


class Members(Mapping[str, Member]):
    """Members by id, in the order in which they came.

    ``pending`` holds, with their deadlines, the ids that were given to clients that are to join again with them
    (KIP-394).

    Source: Kafka, ClassicGroup.java.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Member] = {}
        self._ids_of_instances: dict[str, str] = {}
        self._supporters: Counter[str] = Counter()
        self._joining = 0
        self.leader_id: str | None = None
        self.pending: dict[str, float] = {}

    def __getitem__(self, member_id: str) -> Member:
        return self._by_id[member_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def joining_count(self) -> int:
        """How many wait for the answer to their JoinGroup."""
        return self._joining

    @property
    def all_joined(self) -> bool:
        """Whether everybody known has joined, and nobody is about to."""
        return self._joining == len(self._by_id) and not self.pending

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long a rebalance waits for members: as long as the slowest of them asks for."""
        return max((member.rebalance_timeout_ms for member in self._by_id.values()), default=0)

    def static_member(self, group_instance_id: str | None) -> Member | None:
        """The member with this instance id."""
        member_id = self._ids_of_instances.get(group_instance_id) if group_instance_id is not None else None
        return self._by_id[member_id] if member_id is not None else None

    def find(self, member_id: str, group_instance_id: str | None) -> Member:
        """The member that a request says it comes from.

        Raises:
            KafkaError: UnknownMemberId, or FencedInstanceId when the instance has another member id by now.
        """
        if group_instance_id is not None:
            known = self.static_member(group_instance_id)
            if known is None:
                raise UnknownMemberId(f"no member has the instance id {group_instance_id}")
            if known.member_id != member_id:
                raise FencedInstanceId(f"{group_instance_id} is {known.member_id} now, not {member_id}")
        member = self._by_id.get(member_id)
        if member is None:
            raise UnknownMemberId(f"{member_id!r} is no member")
        return member

    def add(self, member: Member) -> None:
        """Add a member; the first one leads.

        Raises:
            ValueError: Its id, or its instance id, is another member's.
        """
        if member.member_id in self._by_id or self.static_member(member.group_instance_id) is not None:
            raise ValueError(f"{member.member_id} ({member.group_instance_id}) is a member already")
        self._by_id[member.member_id] = member
        if member.group_instance_id is not None:
            self._ids_of_instances[member.group_instance_id] = member.member_id
        self._supporters.update(_names(member.protocols))
        self.leader_id = self.leader_id or member.member_id
        self.pending.pop(member.member_id, None)

    def remove(self, member: Member, error: KafkaError) -> None:
        """Remove a member, who hears ``error`` if it waits for something; if it led, another one does."""
        self.refuse_join(member, error)
        member.refuse_sync(error)
        del self._by_id[member.member_id]
        if member.group_instance_id is not None:
            del self._ids_of_instances[member.group_instance_id]
        self._forget_protocols(member)
        if self.leader_id == member.member_id:
            self.leader_id = next(iter(self._by_id), None)

    def replace(self, old: Member, new: Member) -> None:
        """Put ``new`` in the place of ``old``, which is the same instance under another id, also as a leader."""
        was_leader = self.leader_id == old.member_id
        self.remove(old, FencedInstanceId(f"{old.group_instance_id} has joined again"))
        self.add(new)
        if was_leader:
            self.leader_id = new.member_id

    def update(self, member: Member, attempt: JoinAttempt) -> None:
        """Take over what a member joins with."""
        self._forget_protocols(member)
        member.protocols = attempt.protocols
        member.session_timeout_ms = attempt.session_timeout_ms
        member.rebalance_timeout_ms = attempt.rebalance_timeout_ms
        self._supporters.update(_names(member.protocols))

    def await_join(self, member: Member, promise: Promise[JoinResult]) -> None:
        """Count a member as joined; it is answered with all others, an earlier request of its own is not."""
        self.refuse_join(member, RebalanceInProgress("the member has asked again"))
        member.joining = promise
        self._joining += 1

    def answer_join(self, member: Member, result: JoinResult) -> None:
        """Tell a member its generation, if it waits for it."""
        answer(self._take_joining(member), result)

    def refuse_join(self, member: Member, error: KafkaError) -> None:
        """Tell a member that it has not joined, if it waits for it."""
        refuse(self._take_joining(member), error)

    def elect_leader(self) -> bool:
        """See to it that the leader is one who has joined; false when nobody has."""
        leader = self._by_id.get(self.leader_id) if self.leader_id is not None else None
        if leader is None or leader.joining is None:
            joined = next((member for member in self._by_id.values() if member.joining is not None), None)
            if joined is None:
                return False
            self.leader_id = joined.member_id
        return True

    def all_support_one_of(self, protocols: tuple[ClassicProtocol, ...]) -> bool:
        """Whether every member supports one and the same of these protocols."""
        return any(self._supporters[name] == len(self._by_id) for name in _names(protocols))

    def select_protocol(self) -> str:
        """The protocol that most members like best, of those that all support.

        Raises:
            ValueError: There is none.
        """
        candidates = {name for name, count in self._supporters.items() if count == len(self._by_id)}
        votes = Counter(member.vote(candidates) for member in self._by_id.values())
        if not votes:
            raise ValueError("nobody votes")
        return votes.most_common(1)[0][0]

    def _take_joining(self, member: Member) -> Promise[JoinResult] | None:
        promise = member.joining
        if promise is not None:
            member.joining = None
            self._joining -= 1
        return promise

    def _forget_protocols(self, member: Member) -> None:
        self._supporters.subtract(_names(member.protocols))
        self._supporters = +self._supporters  # clients choose these names: none may stay behind


def _names(protocols: tuple[ClassicProtocol, ...]) -> set[str]:
    return {protocol.name for protocol in protocols}
