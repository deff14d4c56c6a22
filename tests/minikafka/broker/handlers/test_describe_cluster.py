"""DescribeCluster over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.broker.operations import CLUSTER_OPERATIONS, NOT_ASKED
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.describe_cluster import DescribeClusterRequest
from tests.support.broker import RunningBroker, running_broker
from tests.support.control_plane import ControlPlaneClient, administering, versions_of


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with running_broker(tmp_path / "data") as running:
        yield running


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[ControlPlaneClient]:
    async with administering(broker) as connected:
        yield connected


@pytest.mark.parametrize("version", versions_of(ApiKey.DESCRIBE_CLUSTER))
async def test_the_cluster_is_described(broker: RunningBroker, client: ControlPlaneClient, version: int) -> None:
    answer = await client.ask(DescribeClusterRequest(include_cluster_authorized_operations=False), version)
    assert (answer.error_code, answer.error_message) == (0, None)
    assert (answer.cluster_id, answer.controller_id) == (broker.broker.cluster_id, 1)
    (node,) = answer.brokers
    assert (node.broker_id, node.host, node.port, node.is_fenced) == (1, *broker.address, False)
    assert (answer.endpoint_type, answer.cluster_authorized_operations) == (1, NOT_ASKED)


@pytest.mark.parametrize("version", versions_of(ApiKey.DESCRIBE_CLUSTER))
async def test_operations_are_told_to_those_who_ask(client: ControlPlaneClient, version: int) -> None:
    answer = await client.ask(DescribeClusterRequest(include_cluster_authorized_operations=True), version)
    assert answer.cluster_authorized_operations == CLUSTER_OPERATIONS


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("endpoint_type", "error"), [(2, ErrorCode.MISMATCHED_ENDPOINT_TYPE), (3, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE)]
)
async def test_controllers_have_no_endpoints_of_their_own(
    client: ControlPlaneClient, version: int, endpoint_type: int, error: ErrorCode
) -> None:
    request = DescribeClusterRequest(include_cluster_authorized_operations=False, endpoint_type=endpoint_type)
    answer = await client.ask(request, version)
    assert (answer.error_code, answer.brokers) == (error, [])
    assert answer.error_message
