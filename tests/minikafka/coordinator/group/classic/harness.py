"""A group under test: requests as short calls, answers that may come only once, and time that moves when told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from minikafka.coordinator.group.classic.group import ClassicGroup
from minikafka.coordinator.group.values import (
    ClassicProtocol,
    Client,
    GroupLimits,
    JoinAttempt,
    JoinResult,
    LeavingMember,
    MemberClaim,
    NewMemberId,
    SyncAttempt,
    SyncResult,
    Write,
)
from minikafka.errors import KafkaError
from tests.support.clock import ManualClock

T = TypeVar("T")

SESSION_MS = 10_000
REBALANCE_MS = 60_000
RANGE = {"range": b"range-metadata"}


class Reply(Generic[T]):
    """A promise that minds being answered twice; ``cancelled`` when its client has gone away."""

    def __init__(self) -> None:
        self.answer: T | None = None
        self.error: BaseException | None = None
        self.cancelled = False

    def set_result(self, result: T, /) -> None:
        assert not self.done(), "answered twice"
        self.answer = result

    def set_exception(self, exception: BaseException, /) -> None:
        assert not self.done(), "answered twice"
        self.error = exception

    def done(self) -> bool:
        return self.cancelled or self.answer is not None or self.error is not None

    def result(self) -> T:
        """The answer, or the error."""
        assert self.done(), "not answered"
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


def join_attempt(
    member_id: str = "",
    *,
    instance: str | None = None,
    client_id: str = "client",
    protocols: Mapping[str, bytes] = RANGE,
    protocol_type: str = "consumer",
    session_ms: int = SESSION_MS,
    rebalance_ms: int = REBALANCE_MS,
    requires_known_member_id: bool = True,
    supports_skip_assignment: bool = True,
) -> JoinAttempt:
    return JoinAttempt(
        "g",
        member_id,
        instance,
        Client(client_id, "/127.0.0.1"),
        protocol_type,
        tuple(ClassicProtocol(name, metadata) for name, metadata in protocols.items()),
        session_ms,
        rebalance_ms,
        requires_known_member_id,
        supports_skip_assignment,
    )


class Harness:
    """One group; limits are those of :class:`GroupLimits`."""

    def __init__(self, limits: GroupLimits | None = None, group: ClassicGroup | None = None) -> None:
        self.now_ms = 1_000.0
        self.clock = ManualClock()
        self.ids = 0
        self.group = group or ClassicGroup("g", limits or GroupLimits(), self.new_member_id, self.clock)

    def new_member_id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}-{self.ids}"

    @property
    def state(self) -> str:
        return self.group.state.value

    def send_join(self, attempt: JoinAttempt) -> Reply[JoinResult]:
        reply: Reply[JoinResult] = Reply()
        self.group.join(attempt, reply, self.now_ms)
        return reply

    def join(self, member_id: str = "", **fields) -> Reply[JoinResult]:
        return self.send_join(join_attempt(member_id, **fields))

    def member_id(self, **fields) -> str:
        """The id that a new member is given; it is expected to join again."""
        error = self.join(**fields).error
        assert isinstance(error, NewMemberId)
        return error.member_id

    def join_new(self, **fields) -> Reply[JoinResult]:
        """Both requests of a new member."""
        return self.join(self.member_id(**fields), **fields)

    def sync(
        self,
        member_id: str,
        assignments: Mapping[str, bytes] | None = None,
        *,
        generation_id: int | None = None,
        instance: str | None = None,
        protocol_type: str | None = None,
        protocol_name: str | None = None,
    ) -> Reply[SyncResult]:
        generation_id = self.group.generation_id if generation_id is None else generation_id
        attempt = SyncAttempt("g", member_id, instance, generation_id, protocol_type, protocol_name, assignments or {})
        reply: Reply[SyncResult] = Reply()
        self.group.sync(attempt, reply, self.now_ms)
        return reply

    def claim(self, member_id: str, generation_id: int | None = None, instance: str | None = None) -> MemberClaim:
        return MemberClaim(member_id, instance, self.group.generation_id if generation_id is None else generation_id)

    def heartbeat(self, member_id: str, generation_id: int | None = None, instance: str | None = None) -> None:
        self.group.heartbeat(self.claim(member_id, generation_id, instance), self.now_ms)

    def leave(self, member_id: str = "", instance: str | None = None) -> str:
        return self.group.leave(LeavingMember(member_id, instance), self.now_ms)

    def check_commit(self, member_id: str, generation_id: int | None = None, instance: str | None = None) -> None:
        self.group.check_commit(self.claim(member_id, generation_id, instance), self.now_ms)

    def written(self, error: KafkaError | None = None) -> list[Write]:
        """Let what is to be written become durable, or fail."""
        writes = self.group.take_writes()
        for write in writes:
            if write.done is not None:
                write.done(error)
        return writes

    def advance(self, ms: float) -> None:
        """Let time pass, with a call for each deadline on the way."""
        end_ms = self.now_ms + ms
        calls_at_once = 0
        while (deadline_ms := self.group.next_deadline_ms()) is not None and deadline_ms <= end_ms:
            calls_at_once = 0 if deadline_ms > self.now_ms else calls_at_once + 1
            assert calls_at_once < 5, "a timer that does not let go"
            self.clock.advance(max(int(deadline_ms - self.now_ms), 0))
            self.now_ms = max(self.now_ms, deadline_ms)
            self.group.expire(self.now_ms)
        self.clock.advance(int(end_ms - self.now_ms))
        self.now_ms = end_ms

    def assign_all(self) -> dict[str, bytes]:
        """Everybody syncs, and gets ``for <member id>``; returns who got what."""
        assignments = {member_id: f"for {member_id}".encode() for member_id in self.group.members}
        replies = {
            member_id: self.sync(member_id, assignments if member_id == self.group.leader_id else {})
            for member_id in self.group.members
        }
        self.written()
        return {member_id: reply.result().assignment for member_id, reply in replies.items()}

    def stabilize(self, count: int, **fields) -> list[str]:
        """Make a stable group of new dynamic members; the first one leads."""
        ids = [self.member_id(**fields) for _ in range(count)]
        replies = [self.join(member_id, **fields) for member_id in ids]
        assert [reply.result().member_id for reply in replies] == ids
        self.assign_all()
        assert self.state == "Stable"
        return ids

    def stabilize_static(self, *instances: str, **fields) -> list[str]:
        """Make a stable group of static members; the first one leads."""
        replies = [self.join(instance=instances[0], **fields)]
        for instance in instances[1:]:
            # One after the other they come, and all those before have to join again.
            replies.append(self.join(instance=instance, **fields))
            for before in self.group.members.values():
                if before.joining is None:
                    self.join(before.member_id, instance=before.group_instance_id, **fields)
        self.assign_all()
        assert self.state == "Stable"
        return [reply.result().member_id for reply in replies]
