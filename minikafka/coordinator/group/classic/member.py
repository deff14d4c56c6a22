"""One member of a classic group, and the answers it waits for."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TypeVar

from minikafka.coordinator.group.values import (
    ClassicProtocol,
    Client,
    JoinAttempt,
    JoinResult,
    MemberDescription,
    Promise,
    SyncResult,
)
from minikafka.errors import KafkaError, RebalanceInProgress

NO_ASSIGNMENT = b""

T = TypeVar("T")


def answer(promise: Promise[T] | None, result: T) -> None:
    """Answer, if anybody still waits."""
    if promise is not None and not promise.done():
        promise.set_result(result)


def refuse(promise: Promise[T] | None, error: KafkaError) -> None:
    """Answer with an error, if anybody still waits."""
    if promise is not None and not promise.done():
        promise.set_exception(error)


class Member:
    """A member: who it is, what it supports, what it was given, and what it waits for.

    ``joining`` is set only by :class:`~minikafka.coordinator.group.classic.members.Members`, which counts.
    """

    __slots__ = (
        "assignment",
        "client",
        "deadline_ms",
        "group_instance_id",
        "is_new",
        "joining",
        "member_id",
        "protocols",
        "rebalance_timeout_ms",
        "session_timeout_ms",
        "syncing",
    )

    def __init__(
        self,
        member_id: str,
        group_instance_id: str | None,
        client: Client,
        protocols: tuple[ClassicProtocol, ...],
        *,
        session_timeout_ms: int,
        rebalance_timeout_ms: int,
        assignment: bytes = NO_ASSIGNMENT,
    ) -> None:
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.client = client
        self.protocols = protocols
        self.session_timeout_ms = session_timeout_ms
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.assignment = assignment
        self.deadline_ms = math.inf
        """When it has to have been heard of again."""
        self.is_new = False
        """Whether it has not been in any generation yet."""
        self.joining: Promise[JoinResult] | None = None
        self.syncing: Promise[SyncResult] | None = None

    @classmethod
    def from_attempt(cls, member_id: str, attempt: JoinAttempt, assignment: bytes = NO_ASSIGNMENT) -> Member:
        """A member as it wants to join."""
        return cls(
            member_id,
            attempt.group_instance_id,
            attempt.client,
            attempt.protocols,
            session_timeout_ms=attempt.session_timeout_ms,
            rebalance_timeout_ms=attempt.rebalance_timeout_ms,
            assignment=assignment,
        )

    @property
    def is_static(self) -> bool:
        """Whether it keeps its place while it restarts (KIP-345)."""
        return self.group_instance_id is not None

    @property
    def is_waiting(self) -> bool:
        """Whether it is owed an answer, and so cannot be expected to send anything."""
        return any(promise is not None and not promise.done() for promise in (self.joining, self.syncing))

    def metadata(self, protocol_name: str | None) -> bytes:
        """What it tells the leader under this protocol; nothing when it does not support it."""
        return next((protocol.metadata for protocol in self.protocols if protocol.name == protocol_name), b"")

    def vote(self, candidates: Collection[str]) -> str:
        """The protocol that it likes best; it names them in that order.

        Raises:
            ValueError: It supports none of them.
        """
        for protocol in self.protocols:
            if protocol.name in candidates:
                return protocol.name
        raise ValueError(f"{self.member_id} supports none of {sorted(candidates)}")

    def await_assignment(self, promise: Promise[SyncResult]) -> None:
        """Answer when there is an assignment; an earlier request of the same member will not be answered with one."""
        refuse(self.syncing, RebalanceInProgress("the member has asked again"))
        self.syncing = promise

    def answer_sync(self, result: SyncResult) -> None:
        """Hand it its assignment, if it waits for it."""
        answer(self.syncing, result)
        self.syncing = None

    def refuse_sync(self, error: KafkaError) -> None:
        """Tell it that there is none, if it waits for it."""
        refuse(self.syncing, error)
        self.syncing = None

    def describe(self, protocol_name: str | None) -> MemberDescription:
        """The member, for DescribeGroups; without protocol its metadata is left out."""
        return MemberDescription(
            self.member_id, self.group_instance_id, self.client, self.metadata(protocol_name), self.assignment
        )
