"""ConsumerGroupDescribe (API key 69): the state and the members of groups of the consumer protocol.

Source: Kafka, KafkaApis.handleConsumerGroupDescribe, ConsumerGroup.asDescribedGroup.
"""

from __future__ import annotations

from collections.abc import Mapping

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id
from minikafka.broker.operations import GROUP_OPERATIONS, NOT_ASKED
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache
from minikafka.config.group import CONSUMER
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import ConsumerGroupDescription, ConsumerMemberDescription
from minikafka.errors import KafkaError, UnsupportedVersion
from minikafka.protocol.messages.consumer_group_describe import (
    Assignment,
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
    Member,
    TopicPartitions,
)

_CLASSIC_MEMBER = 0
_CONSUMER_MEMBER = 1


class ConsumerGroupDescribeHandler:
    """Describes groups one by one."""

    __slots__ = ("_groups", "_is_enabled", "_metadata")

    def __init__(self, groups: GroupCoordinator, metadata: MetadataCache, *, is_enabled: bool) -> None:
        self._groups = groups
        self._metadata = metadata
        self._is_enabled = is_enabled

    def __call__(self, request: ConsumerGroupDescribeRequest, ctx: RequestContext) -> ConsumerGroupDescribeResponse:
        """Answer ``request``."""
        operations = GROUP_OPERATIONS if request.include_authorized_operations else NOT_ASKED
        return ConsumerGroupDescribeResponse(
            groups=[self._describe(group_id, operations) for group_id in request.group_ids]
        )

    def _describe(self, group_id: str, operations: int) -> DescribedGroup:
        try:
            if not self._is_enabled:
                raise UnsupportedVersion("group.coordinator.rebalance.protocols does not have the consumer protocol")
            check_group_id(group_id)
            group = self._groups.shard_of(group_id).describe_consumer(group_id)
        except KafkaError as error:
            return _refused(group_id, error)
        return self._described(group, operations)

    def _described(self, group: ConsumerGroupDescription, operations: int) -> DescribedGroup:
        return DescribedGroup(
            group_id=group.group_id,
            group_state=group.state,
            group_epoch=group.group_epoch,
            assignment_epoch=group.assignment_epoch,
            assignor_name=group.assignor_name,
            members=[self._member(member) for member in group.members],
            authorized_operations=operations,
        )

    def _member(self, member: ConsumerMemberDescription) -> Member:
        return Member(
            member_id=member.member_id,
            instance_id=member.instance_id,
            rack_id=member.rack_id,
            member_epoch=member.member_epoch,
            client_id=member.client.client_id,
            client_host=member.client.host,
            subscribed_topic_names=list(member.subscribed_topic_names),
            subscribed_topic_regex=member.subscribed_topic_regex,
            assignment=self._assignment(member.assignment),
            target_assignment=self._assignment(member.target_assignment),
            member_type=_CLASSIC_MEMBER if member.is_classic else _CONSUMER_MEMBER,
        )

    def _assignment(self, partitions: Mapping[bytes, frozenset[int]]) -> Assignment:
        """Partitions with the names of their topics; those of topics that are gone are left out, as Kafka does."""
        found = []
        for topic_id, indexes in partitions.items():
            name = self._metadata.topic_name(topic_id)
            if name is not None:
                found.append(TopicPartitions(topic_id=topic_id, topic_name=name, partitions=sorted(indexes)))
        return Assignment(topic_partitions=found)


def build(services: Services) -> ConsumerGroupDescribeHandler:
    """The handler, with what it needs of the broker."""
    protocols = services.loaded_config.config.group_coordinator_rebalance_protocols
    return ConsumerGroupDescribeHandler(services.groups, services.metadata, is_enabled=CONSUMER in protocols)


def _refused(group_id: str, error: KafkaError) -> DescribedGroup:
    return DescribedGroup(
        error_code=error.code,
        error_message=str(error) or None,
        group_id=group_id,
        group_state="",
        group_epoch=0,
        assignment_epoch=0,
        assignor_name="",
        members=[],
    )
