"""A classic group as a record of ``__consumer_offsets``, and back.

Source: Kafka, GroupCoordinatorRecordHelpers.newGroupMetadataRecord and GroupMetadataManager.replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minikafka.coordinator.group.classic.member import NO_ASSIGNMENT, Member
from minikafka.coordinator.group.values import ClassicProtocol, Client
from minikafka.protocol.payloads.group_records import GroupMetadataValue, MemberMetadata

_NO_TIMEOUT = -1


def member_records(
    members: Iterable[Member], protocol_name: str | None, assignments: Mapping[str, bytes]
) -> list[MemberMetadata]:
    """The members, with what they say under the chosen protocol and with the assignments of this generation."""
    return [
        MemberMetadata(
            member_id=member.member_id,
            group_instance_id=member.group_instance_id,
            client_id=member.client.client_id,
            client_host=member.client.host,
            rebalance_timeout=member.rebalance_timeout_ms,
            session_timeout=member.session_timeout_ms,
            subscription=member.metadata(protocol_name),
            assignment=assignments.get(member.member_id, NO_ASSIGNMENT),
        )
        for member in members
    ]


def recorded_members(value: GroupMetadataValue) -> list[Member]:
    """The members of a record; they are known to support only the protocol that was chosen."""
    return [_recorded_member(member, value.protocol) for member in value.members]


def _recorded_member(recorded: MemberMetadata, protocol_name: str | None) -> Member:
    rebalance_timeout_ms = recorded.rebalance_timeout
    if rebalance_timeout_ms == _NO_TIMEOUT:
        rebalance_timeout_ms = recorded.session_timeout
    return Member(
        recorded.member_id,
        recorded.group_instance_id,
        Client(recorded.client_id, recorded.client_host),
        (ClassicProtocol(protocol_name or "", bytes(recorded.subscription)),),
        session_timeout_ms=recorded.session_timeout,
        rebalance_timeout_ms=rebalance_timeout_ms,
        assignment=bytes(recorded.assignment),
    )
