"""DescribeCluster (API key 60): the id of the cluster, its controller and its brokers.

Source: KIP-700, KIP-919; Kafka, AuthHelper.computeDescribeClusterResponse.
"""

from __future__ import annotations

from enum import IntEnum

from minikafka.broker.advertise import Advertiser
from minikafka.broker.context import RequestContext
from minikafka.broker.operations import CLUSTER_OPERATIONS, NOT_ASKED
from minikafka.broker.services import Services
from minikafka.cluster.metadata import MetadataCache
from minikafka.errors import ErrorCode
from minikafka.protocol.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)


class EndpointType(IntEnum):
    """Whose addresses a client wants."""

    BROKERS = 1
    CONTROLLERS = 2


class DescribeClusterHandler:
    """Answers from the cache."""

    __slots__ = ("_advertiser", "_metadata")

    def __init__(self, metadata: MetadataCache, advertiser: Advertiser) -> None:
        self._metadata = metadata
        self._advertiser = advertiser

    def __call__(self, request: DescribeClusterRequest, ctx: RequestContext) -> DescribeClusterResponse:
        """Answer ``request``; controllers have no listeners of their own here."""
        if request.endpoint_type == EndpointType.CONTROLLERS:
            return _refused(
                ErrorCode.MISMATCHED_ENDPOINT_TYPE,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
            )
        if request.endpoint_type != EndpointType.BROKERS:
            return _refused(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"Unsupported endpoint type {request.endpoint_type}")
        return DescribeClusterResponse(
            cluster_id=self._metadata.cluster_id,
            controller_id=self._metadata.controller_id,
            brokers=[
                DescribeClusterBroker(broker_id=at.broker_id, host=at.address.host, port=at.address.port)
                for at in self._advertiser.brokers(ctx.connection)
            ],
            cluster_authorized_operations=(
                CLUSTER_OPERATIONS if request.include_cluster_authorized_operations else NOT_ASKED
            ),
        )


def _refused(code: ErrorCode, message: str) -> DescribeClusterResponse:
    return DescribeClusterResponse(error_code=code, error_message=message, cluster_id="", brokers=[])


def build(services: Services) -> DescribeClusterHandler:
    """The handler, with what it needs of the broker."""
    return DescribeClusterHandler(services.metadata, services.advertiser)
