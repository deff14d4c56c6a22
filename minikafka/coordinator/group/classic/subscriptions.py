"""Which topics the members of a group read, where they are consumers and say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from minikafka.coordinator.group.classic.member import Member
from minikafka.protocol.codec import decode_prefix
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolSubscription
from minikafka.protocol.payloads.versioned import version_of

CONSUMER_PROTOCOL_TYPE: Final = "consumer"
_VERSION_SIZE: Final = 2


def subscribed_topics(
    protocol_type: str | None, protocol_name: str | None, members: Iterable[Member]
) -> frozenset[str] | None:
    """The topics of all members together; None when that cannot be known: they are no consumers, or not as agreed.

    Source: Kafka, ClassicGroup.computeSubscribedTopics.
    """
    if protocol_type != CONSUMER_PROTOCOL_TYPE:
        return None
    topics: set[str] = set()
    try:
        for member in members:
            topics.update(_topics(member.metadata(protocol_name)))
    except DecodeError:
        return None
    return frozenset(topics)


def _topics(metadata: bytes) -> list[str]:
    if version_of(metadata) < 0:
        raise DecodeError("a subscription has no negative version")
    # Every version begins with version 0, and a mistake in what follows is the members' affair.
    subscription, _ = decode_prefix(ConsumerProtocolSubscription, 0, metadata, _VERSION_SIZE)
    return subscription.topics
