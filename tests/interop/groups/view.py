"""What the coordinator says of a group, of either protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from minikafka.errors import ErrorCode
from minikafka.net.connection import Connection
from minikafka.protocol.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from minikafka.protocol.messages.describe_groups import DescribeGroupsRequest
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolAssignment
from minikafka.protocol.payloads.versioned import decode_versioned

_ANSWER_TIMEOUT_MS = 30_000
_STABLE = "Stable"


@dataclass(frozen=True)
class Described:
    """A group; ``members`` says which partitions each has, by :attr:`~tests.interop.groups.members.Spec.seat`."""

    state: str
    members: dict[str, frozenset[int]]

    @property
    def is_stable(self) -> bool:
        """Whether nobody is about to be given anything else."""
        return self.state == _STABLE


class View:
    """Looks at the group whose id is the name of its one topic."""

    def __init__(self, runner: asyncio.Runner, connection: Connection, group_id: str) -> None:
        self._runner = runner
        self._connection = connection
        self._group_id = group_id

    def describe(self) -> Described:
        """The group now; one that is unknown has no members."""
        return self._runner.run(self._describe())

    async def _describe(self) -> Described:
        asked = ConsumerGroupDescribeRequest(group_ids=[self._group_id], include_authorized_operations=False)
        (new,) = (await self._connection.request(asked, 1, timeout_ms=_ANSWER_TIMEOUT_MS)).groups
        if new.error_code == ErrorCode.NOT_COORDINATOR:
            return Described("", {})  # there has been no group yet
        if new.error_code != ErrorCode.GROUP_ID_NOT_FOUND:
            assert new.error_code == ErrorCode.NONE, new
            return Described(
                new.group_state,
                {
                    member.instance_id or member.client_id: _partitions(member.assignment.topic_partitions)
                    for member in new.members
                },
            )
        (classic,) = (
            await self._connection.request(
                DescribeGroupsRequest(groups=[self._group_id]), 5, timeout_ms=_ANSWER_TIMEOUT_MS
            )
        ).groups
        assert classic.error_code == ErrorCode.NONE, classic
        return Described(
            classic.group_state,
            {
                member.group_instance_id or member.client_id: _assigned(bytes(member.member_assignment))
                for member in classic.members
            },
        )


@contextmanager
def looking_at(bootstrap: str, group_id: str) -> Iterator[View]:
    """A view of a group, with a connection of its own."""
    host, _, port = bootstrap.rpartition(":")
    with asyncio.Runner() as runner:
        connection = runner.run(Connection.open(host, int(port), client_id="looking"))
        try:
            yield View(runner, connection, group_id)
        finally:
            connection.close()


def _assigned(assignment: bytes) -> frozenset[int]:
    if not assignment:
        return frozenset()
    return _partitions(decode_versioned(ConsumerProtocolAssignment, assignment).assigned_partitions)


def _partitions(topics: Iterable[Any]) -> frozenset[int]:
    return frozenset(partition for topic in topics for partition in topic.partitions)
