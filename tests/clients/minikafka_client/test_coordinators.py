from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import pytest

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut, UnsupportedVersion
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from minikafka.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.coordinators import Coordinators
from tests.clients.support.fake_cluster import Drop, FakeCluster, Hold


class Office:
    """What two brokers say of where the coordinator is, and what the coordinator says to one kind of request."""

    def __init__(self, brokers: FakeCluster) -> None:
        self.node_id = 1
        self.find_codes: deque[ErrorCode] = deque()
        self.codes: deque[ErrorCode] = deque()
        self._brokers = brokers
        brokers.serve(ApiKey.FIND_COORDINATOR, 4, self._find)
        brokers.serve(ApiKey.OFFSET_DELETE, 0, self._answer)

    def asked(self) -> list[int]:
        """Which brokers were asked what a coordinator is asked."""
        return [node_id for node_id, key, _ in self._brokers.requests if key is ApiKey.OFFSET_DELETE]

    def _find(self, _node_id: int, request: FindCoordinatorRequest) -> FindCoordinatorResponse:
        code = self.find_codes.popleft() if self.find_codes else ErrorCode.NONE
        node_id = -1 if code else self.node_id
        if request.coordinator_keys:
            found = Coordinator(key=request.coordinator_keys[0], node_id=node_id, host="", port=0, error_code=code)
            return FindCoordinatorResponse(coordinators=[found])
        return FindCoordinatorResponse(error_code=code, node_id=node_id)

    def _answer(self, node_id: int, _request: OffsetDeleteRequest) -> OffsetDeleteResponse:
        code = ErrorCode.NOT_COORDINATOR if node_id != self.node_id else ErrorCode.NONE
        return OffsetDeleteResponse(error_code=self.codes.popleft() if self.codes else code, topics=[])


@pytest.fixture
def office(two_brokers: FakeCluster) -> Office:
    return Office(two_brokers)


@pytest.fixture
async def coordinators(two_brokers: FakeCluster, office: Office) -> AsyncIterator[Coordinators]:
    async with asyncio.timeout(30):
        cluster = Cluster(two_brokers.bootstrap_servers, ClusterOptions("test", 5_000, backoff=Backoff(1, 5)))
        await cluster.start()
        made = Coordinators(cluster)
        yield made
        await made.close()
        await cluster.close()


async def ask(coordinators: Coordinators, timeout_ms: int = 5_000) -> OffsetDeleteResponse:
    return await coordinators.ask(
        "billing", OffsetDeleteRequest(group_id="billing", topics=[]), 0, timeout_ms=timeout_ms
    )


async def test_a_coordinator_is_looked_up_once(
    coordinators: Coordinators, office: Office, two_brokers: FakeCluster
) -> None:
    await asyncio.gather(ask(coordinators), ask(coordinators))
    await ask(coordinators)
    assert office.asked() == [1, 1, 1]
    assert two_brokers.count(ApiKey.FIND_COORDINATOR) == 1


async def test_a_broker_that_looks_up_one_key_at_a_time_is_asked_so(office: Office, two_brokers: FakeCluster) -> None:
    two_brokers.versions[ApiKey.FIND_COORDINATOR] = (0, 3)
    cluster = Cluster(two_brokers.bootstrap_servers, ClusterOptions("test"))
    await cluster.start()
    assert await Coordinators(cluster).node_id("billing") == 1
    await cluster.close()


async def test_a_coordinator_that_moved_is_looked_up_again(coordinators: Coordinators, office: Office) -> None:
    await ask(coordinators)
    office.node_id = 0
    assert (await ask(coordinators)).error_code == ErrorCode.NONE
    assert office.asked() == [1, 1, 0]


async def test_a_coordinator_that_starts_is_waited_for_where_it_is(
    coordinators: Coordinators, office: Office, two_brokers: FakeCluster
) -> None:
    office.codes.extend([ErrorCode.COORDINATOR_LOAD_IN_PROGRESS] * 3)
    assert (await ask(coordinators)).error_code == ErrorCode.NONE
    assert office.asked() == [1] * 4
    assert two_brokers.count(ApiKey.FIND_COORDINATOR) == 1


async def test_other_errors_are_for_the_caller(coordinators: Coordinators, office: Office) -> None:
    office.codes.append(ErrorCode.GROUP_ID_NOT_FOUND)
    assert (await ask(coordinators)).error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert office.asked() == [1]


async def test_what_else_passes_is_for_the_caller_to_say(coordinators: Coordinators, office: Office) -> None:
    office.codes.extend([ErrorCode.CONCURRENT_TRANSACTIONS] * 2)
    request = OffsetDeleteRequest(group_id="billing", topics=[])
    passing = frozenset({ErrorCode.CONCURRENT_TRANSACTIONS})
    response = await coordinators.ask("billing", request, 0, timeout_ms=5_000, passing=passing)
    assert response.error_code == ErrorCode.NONE
    assert office.asked() == [1] * 3


async def test_a_cluster_that_has_no_coordinator_yet_is_asked_again(coordinators: Coordinators, office: Office) -> None:
    office.find_codes.extend([ErrorCode.COORDINATOR_NOT_AVAILABLE] * 2)
    assert await coordinators.node_id("billing") == 1


async def test_a_group_that_may_not_be_used_is_not_asked_for_again(
    coordinators: Coordinators, office: Office, two_brokers: FakeCluster
) -> None:
    office.find_codes.append(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaError, match="GROUP_AUTHORIZATION_FAILED"):
        await ask(coordinators)
    assert two_brokers.count(ApiKey.FIND_COORDINATOR) == 1


async def test_a_connection_that_breaks_is_not_the_end(
    coordinators: Coordinators, office: Office, two_brokers: FakeCluster
) -> None:
    two_brokers.next(ApiKey.OFFSET_DELETE, Drop(carried_out=True), Drop(carried_out=False))
    assert (await ask(coordinators)).error_code == ErrorCode.NONE
    assert two_brokers.count(ApiKey.FIND_COORDINATOR) == 3


async def test_a_coordinator_that_does_not_come_is_given_up_with_the_reason(
    coordinators: Coordinators, office: Office
) -> None:
    await ask(coordinators)  # connected and found, so that the time is long enough for an answer
    office.codes.extend([ErrorCode.COORDINATOR_LOAD_IN_PROGRESS] * 10_000)
    with pytest.raises(RequestTimedOut, match=r"OffsetDeleteRequest.*'billing'.*COORDINATOR_LOAD_IN_PROGRESS.*500 ms"):
        await ask(coordinators, timeout_ms=500)


async def test_a_request_that_the_coordinator_does_not_serve_is_not_repeated(
    coordinators: Coordinators, office: Office, two_brokers: FakeCluster
) -> None:
    await coordinators.node_id("billing")
    del two_brokers.versions[ApiKey.OFFSET_DELETE]
    with pytest.raises(UnsupportedVersion):
        await ask(coordinators)


async def test_who_gives_up_does_not_take_the_answer_from_others(
    coordinators: Coordinators, office: Office, two_brokers: FakeCluster
) -> None:
    held = asyncio.Event()
    two_brokers.next(ApiKey.FIND_COORDINATOR, Hold(held))
    impatient = asyncio.create_task(coordinators.node_id("billing"))
    patient = asyncio.create_task(coordinators.node_id("billing"))
    await two_brokers.arrived[ApiKey.FIND_COORDINATOR].wait()
    impatient.cancel()
    held.set()
    assert await patient == 1
    assert impatient.cancelled()


async def test_closing_ends_what_is_being_looked_up(
    coordinators: Coordinators, office: Office, two_brokers: FakeCluster
) -> None:
    held = asyncio.Event()
    two_brokers.next(ApiKey.FIND_COORDINATOR, Hold(held))
    waiting = asyncio.create_task(coordinators.node_id("billing"))
    await two_brokers.arrived[ApiKey.FIND_COORDINATOR].wait()
    await coordinators.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.set()


async def test_who_gives_up_while_the_coordinator_is_looked_up_hears_why_it_is_not_found(
    coordinators: Coordinators, office: Office
) -> None:
    office.find_codes.extend([ErrorCode.COORDINATOR_NOT_AVAILABLE] * 1_000)
    with pytest.raises(RequestTimedOut, match=r"group 'billing': COORDINATOR_NOT_AVAILABLE \(50 ms\)"):
        await ask(coordinators, timeout_ms=50)
