from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.heartbeat import HeartbeatRequest
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.connections import Lane
from minikafka_client.coordinators import Coordinators
from tests.clients.support.fake_cluster import Drop, FakeCluster, Refuse


@pytest.fixture
async def coordinators(two_brokers: FakeCluster) -> AsyncIterator[Coordinators]:
    """Of two brokers, the second of which coordinates the group."""
    two_brokers.coordinator.node_id = 1
    two_brokers.coordinator.member_id = "me"
    cluster = Cluster(
        two_brokers.bootstrap_servers, ClusterOptions("test", request_timeout_ms=2_000, backoff=Backoff(1, 5))
    )
    await cluster.start()
    made = Coordinators(cluster)
    yield made
    await made.close()
    await cluster.close()


async def beat(coordinators: Coordinators, timeout_ms: int = 2_000) -> int:
    request = HeartbeatRequest(group_id="billing", generation_id=0, member_id="me")
    return (await coordinators.ask("billing", request, 4, timeout_ms=timeout_ms)).error_code


async def test_a_coordinator_is_looked_up_once(coordinators: Coordinators, two_brokers: FakeCluster) -> None:
    assert await asyncio.gather(*(coordinators.node_id("billing") for _ in range(3))) == [1, 1, 1]
    assert (await coordinators.connection("billing")) is await coordinators.connection("billing")
    assert (await coordinators.connection("billing", Lane.GROUP)) is not await coordinators.connection("billing")
    assert two_brokers.count(ApiKey.FIND_COORDINATOR) == 1
    coordinators.forget("billing")
    await coordinators.node_id("billing")
    assert two_brokers.count(ApiKey.FIND_COORDINATOR) == 2


@pytest.mark.parametrize("version", [0, 2, 3, 4])
async def test_brokers_of_any_age_are_asked(coordinators: Coordinators, two_brokers: FakeCluster, version: int) -> None:
    two_brokers.versions[ApiKey.FIND_COORDINATOR] = (0, version)
    assert await coordinators.node_id("billing") == 1


async def test_a_coordinator_that_is_not_there_yet_is_waited_for(
    coordinators: Coordinators, two_brokers: FakeCluster
) -> None:
    two_brokers.next(ApiKey.FIND_COORDINATOR, Refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE), Drop(carried_out=False))
    assert await coordinators.node_id("billing") == 1


async def test_a_refusal_for_good_is_raised_to_all_who_wait(
    coordinators: Coordinators, two_brokers: FakeCluster
) -> None:
    two_brokers.next(ApiKey.FIND_COORDINATOR, Refuse(ErrorCode.GROUP_AUTHORIZATION_FAILED))
    answers = await asyncio.gather(*(coordinators.node_id("billing") for _ in range(2)), return_exceptions=True)
    assert all(isinstance(answer, KafkaError) for answer in answers)
    assert await coordinators.node_id("billing") == 1


async def test_waiting_ends_with_the_last_reason(coordinators: Coordinators, two_brokers: FakeCluster) -> None:
    two_brokers.next(ApiKey.FIND_COORDINATOR, *[Refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)] * 5_000)
    with pytest.raises(RequestTimedOut, match=r"no coordinator of group 'billing' within 2000 ms: COORDINATOR_NOT"):
        await coordinators.node_id("billing")


async def test_who_gives_up_takes_nothing_from_the_others(coordinators: Coordinators, two_brokers: FakeCluster) -> None:
    gives_up = asyncio.create_task(coordinators.node_id("billing"))
    stays = asyncio.create_task(coordinators.node_id("billing"))
    await asyncio.sleep(0)
    gives_up.cancel()
    assert await stays == 1
    assert two_brokers.count(ApiKey.FIND_COORDINATOR) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        Drop(carried_out=False),
        Refuse(ErrorCode.NOT_COORDINATOR),
        Refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE),
        Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
    ],
    ids=str,
)
async def test_what_passes_is_asked_again(
    coordinators: Coordinators, two_brokers: FakeCluster, trouble: Drop | Refuse
) -> None:
    two_brokers.next(ApiKey.HEARTBEAT, trouble, trouble)
    assert await beat(coordinators) == ErrorCode.NONE
    looked_up_again = trouble != Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    assert (two_brokers.count(ApiKey.FIND_COORDINATOR) > 1) is looked_up_again


async def test_a_coordinator_that_moved_is_followed(coordinators: Coordinators, two_brokers: FakeCluster) -> None:
    assert await beat(coordinators) == ErrorCode.NONE
    two_brokers.coordinator.node_id = 0
    assert await beat(coordinators) == ErrorCode.NONE


async def test_other_errors_are_for_the_caller(coordinators: Coordinators, two_brokers: FakeCluster) -> None:
    two_brokers.coordinator.forget_the_member()
    assert await beat(coordinators) == ErrorCode.UNKNOWN_MEMBER_ID


async def test_asking_ends_with_the_last_reason(coordinators: Coordinators, two_brokers: FakeCluster) -> None:
    two_brokers.next(ApiKey.HEARTBEAT, *[Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)] * 1_000)
    with pytest.raises(RequestTimedOut, match="HeartbeatRequest for group 'billing': COORDINATOR_LOAD_IN_PROGRESS"):
        await beat(coordinators, timeout_ms=50)
