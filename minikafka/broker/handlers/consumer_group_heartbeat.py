"""ConsumerGroupHeartbeat (API key 68): join, stay in and leave a group of the consumer protocol (KIP-848).

Source: Kafka, GroupMetadataManager.consumerGroupHeartbeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import client_of
from minikafka.broker.services import Services
from minikafka.config.group import CONSUMER
from minikafka.coordinator.group.coordinator import GroupCoordinator
from minikafka.coordinator.group.values import ConsumerHeartbeat, ConsumerHeartbeatResult
from minikafka.errors import InvalidRequest, KafkaError, UnsupportedVersion
from minikafka.protocol.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)

FIRST_VERSION_WITH_OWN_MEMBER_IDS = 1


class ConsumerGroupHeartbeatHandler:
    """Takes heartbeats, and hands out assignments."""

    __slots__ = ("_groups", "_is_enabled")

    def __init__(self, groups: GroupCoordinator, *, is_enabled: bool) -> None:
        self._groups = groups
        self._is_enabled = is_enabled

    def __call__(
        self, request: ConsumerGroupHeartbeatRequest, ctx: RequestContext
    ) -> ConsumerGroupHeartbeatResponse | Coroutine[Any, Any, ConsumerGroupHeartbeatResponse]:
        """Answer ``request`` when what it changed is durable."""
        try:
            self._check(request, ctx)
            answer = self._groups.shard_of(request.group_id).consumer_heartbeat(_beat(request, ctx))
        except KafkaError as error:
            return _refused(error)
        if answer.durable is None:
            return _response(answer.value)
        return _wait(answer.durable, answer.value)

    def _check(self, request: ConsumerGroupHeartbeatRequest, ctx: RequestContext) -> None:
        """Check what does not concern any group.

        Raises:
            UnsupportedVersion: The protocol is switched off.
            InvalidRequest: There is no group id, or no member id though the client makes its own.
        """
        if not self._is_enabled:
            raise UnsupportedVersion("group.coordinator.rebalance.protocols does not have the consumer protocol")
        if not request.group_id.strip():
            raise InvalidRequest("GroupId can't be empty.")
        if ctx.api_version >= FIRST_VERSION_WITH_OWN_MEMBER_IDS and not request.member_id.strip():
            raise InvalidRequest("MemberId can't be empty.")


async def _wait(durable: asyncio.Future[None], result: ConsumerHeartbeatResult) -> ConsumerGroupHeartbeatResponse:
    try:
        await asyncio.shield(durable)
    except KafkaError as error:
        return _refused(error)
    return _response(result)


def build(services: Services) -> ConsumerGroupHeartbeatHandler:
    """The handler, with what it needs of the broker."""
    protocols = services.loaded_config.config.group_coordinator_rebalance_protocols
    return ConsumerGroupHeartbeatHandler(services.groups, is_enabled=CONSUMER in protocols)


def _beat(request: ConsumerGroupHeartbeatRequest, ctx: RequestContext) -> ConsumerHeartbeat:
    names, owned = request.subscribed_topic_names, request.topic_partitions
    return ConsumerHeartbeat(
        group_id=request.group_id,
        member_id=request.member_id,
        member_epoch=request.member_epoch,
        client=client_of(ctx),
        instance_id=request.instance_id,
        rack_id=request.rack_id,
        rebalance_timeout_ms=request.rebalance_timeout_ms,
        subscribed_topic_names=None if names is None else tuple(names),
        subscribed_topic_regex=request.subscribed_topic_regex,
        server_assignor=request.server_assignor,
        owned=None if owned is None else {topic.topic_id: frozenset(topic.partitions) for topic in owned},
    )


def _response(result: ConsumerHeartbeatResult) -> ConsumerGroupHeartbeatResponse:
    return ConsumerGroupHeartbeatResponse(
        member_id=result.member_id,
        member_epoch=result.member_epoch,
        heartbeat_interval_ms=result.heartbeat_interval_ms,
        assignment=None if result.assignment is None else _assignment(result.assignment),
    )


def _assignment(partitions: Mapping[bytes, frozenset[int]]) -> Assignment:
    return Assignment(
        topic_partitions=[
            TopicPartitions(topic_id=topic_id, partitions=sorted(indexes)) for topic_id, indexes in partitions.items()
        ]
    )


def _refused(error: KafkaError) -> ConsumerGroupHeartbeatResponse:
    return ConsumerGroupHeartbeatResponse(
        error_code=error.code, error_message=str(error) or None, member_epoch=0, heartbeat_interval_ms=0
    )
